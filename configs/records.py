"""What the ledger of a run keeps on disk: which rows are made, and which failed.

Readers trust these records alone: a file that no commit names is not part of a run. `format` is the ledger's, so
another version's records are refused where the ledger is opened, not here.
"""

import hashlib
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

LEDGER_FORMAT = 2


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def listing_hash(files: Iterable[tuple[str, int]]) -> str:
    """What a listing says of a folder, its files' names and sizes in bytes, as 16 hexadecimal digits."""
    lines = "".join(f"{size_bytes} {name}\n" for name, size_bytes in sorted(files))
    return hashlib.blake2b(lines.encode(), digest_size=8).hexdigest()


class OutputFile(_Record):
    """One file of a clip as it was written."""

    size_bytes: int
    sha256: str


class Commit(_Record):
    """A row that is made: the first commit of an edition counts, and names all its files."""

    key: str
    edition: int = 0  # how many commits of the key were found damaged before; the last one counts
    name: str  # of the row when it was made, as are the next two
    source: str = ""
    prompt: str = ""
    run: str  # id of the run that made it
    nonce: str  # of the attempt that made it
    folder: str  # of its files, from the run folder
    files: dict[str, OutputFile]  # by path in `folder`
    outputs: dict[str, str]  # kind (video, control_edge, input, record): path in `folder`
    frames: int
    fps: float
    height: int
    width: int
    chunks: int
    resumed_chunks: int = 0  # of these, made by earlier attempts; times and arithmetic are of the others
    seconds: dict[str, float]  # by stage
    node: str  # name of the machine that wrote it
    gpu: str | None = None  # type of that which generated it, as in airshower.configs.gpus; None: a CPU
    gpus: int = 0  # that generated it together
    flops: dict[str, float] = {}  # of encode_s, denoise_s and decode_s, where they are known
    # For reports, nothing is decided by them: Unix times by the clocks of the machines, and who it was.
    replica: str = ""  # machine and process that generated it
    generated_s: float | None = None  # when the last part of that had ended
    written_s: float | None = None

    @property
    def listing(self) -> str:
        """As `listing_hash` has it, of the files as they should be."""
        return listing_hash((name, file.size_bytes) for name, file in self.files.items())


class Failure(_Record):
    """One attempt at a row that failed; a later commit of the key outweighs it."""

    key: str  # none for a row that could not be read
    name: str
    source: str = ""
    run: str
    attempt: int  # 1, 2, ... of the key
    stage: str
    type: str
    message: str


class SavedArray(_Record):
    """Frames in a file of a chunk, uint8, losslessly packed."""

    shape: tuple[int, ...]
    coding: Literal["color", "gray", "none"]
    size_bytes: int


class SavedChunk(_Record):
    """One chunk of a clip that is not made yet; its arrays follow in the file."""

    before: str  # SHA-256 of the chunk before; "" for the first
    frames: SavedArray
    passed_on: SavedArray


class RunRecord(_Record):
    """One run of a command into the folder."""

    run: str
    begun: str  # UTC, ISO 8601
    command: tuple[str, ...]  # what was typed, program included; empty for a run from Python
    working_directory: str
    rows: int
    version: str  # of Airshower
    epoch: int = 0  # fresh starts until then: what earlier ones made no longer counts
