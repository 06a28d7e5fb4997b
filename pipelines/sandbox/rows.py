"""All reading of rows' files in sandboxes: what rows are prepared as, and what annotators see of their inputs.

A file that a row names by a URL is fetched here and handed over as a local one, so a sandbox needs neither network nor
credentials. Assumes that the row may read the files that it names (`airshower.platform.access` in the service).
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np

from airshower.cluster import storage
from airshower.cluster.packing import hold_frames, unpack_frames
from airshower.configs.messages import PackedFrames, PreparedClip, PreparedViews
from airshower.configs.row_formats import AnySpec
from airshower.configs.spec import ClipSpec
from airshower.pipelines.annotate import input_frames
from airshower.pipelines.decoding.limits import MediaLimits
from airshower.pipelines.prepare_row import prepare_row
from airshower.pipelines.sandbox.limits import SandboxLimits
from airshower.pipelines.sandbox.run import sandboxed

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class SandboxedReading:
    """Reads rows' files, those of each row in a process of its own."""

    media: MediaLimits  # of each file
    sandbox: SandboxLimits  # of all of a row's
    fetched_bytes: int  # at most, of what a row names by URLs

    def prepare(self, spec: AnySpec) -> PreparedClip | PreparedViews:
        """As `airshower.pipelines.prepare_row`; raises SandboxError, a ValueError, as well."""
        fields = [name for name in spec.files() if name != "prompt_path"]  # which was read before
        with _at_hand(spec, fields, self.fetched_bytes) as files:
            prepared = sandboxed(prepare_row, files.spec, self.media, limits=self.sandbox, readable=files.paths)
        return replace(prepared, warnings=tuple(map(files.named, prepared.warnings)))

    def input_frames(self, spec: ClipSpec, frames: int, stopped: Callable[[], bool] = lambda: False) -> np.ndarray:
        """As `airshower.pipelines.annotate.input_frames`; raises SandboxError as well, StoppedError once stopped."""
        with _at_hand(spec, ["video_path"], self.fetched_bytes) as files:
            job = (_held_input, files.spec, frames, self.media)
            packed = sandboxed(*job, limits=self.sandbox, readable=files.paths, stopped=stopped)
        return unpack_frames(packed)


def _held_input(spec: ClipSpec, frames: int, media: MediaLimits) -> PackedFrames:
    return hold_frames(input_frames(spec, frames, media))


@dataclass
class _Files:
    """A row whose files are local, under the names that it gives them."""

    spec: AnySpec
    paths: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)  # by path, where they differ

    def named(self, text: str) -> str:
        """Text with the row's own names in place of paths."""
        for path, name in self.names.items():
            text = text.replace(path, name)
        return text


@contextmanager
def _at_hand(spec: AnySpec, fields: Iterable[str], most_bytes: int) -> Iterator[_Files]:
    """The files of some fields, fetched where they are elsewhere; what goes wrong inside names them as the row does."""
    files = _Files(spec)
    with tempfile.TemporaryDirectory(prefix="airshower-") as folder:
        try:
            for number, name in enumerate(fields):
                path = spec.files()[name]
                if storage.is_url(path):
                    local = Path(folder, str(number), PurePosixPath(path).name)
                    local.parent.mkdir()
                    most_bytes -= _fetched(f"{name}: {path}", path, local, most_bytes)
                    files.names[str(local)] = path
                    files.spec = files.spec.with_file(name, str(local))
                    path = str(local)
                files.paths.append(path)
            yield files
        except (ValueError, OSError) as error:
            raise type(error)(files.named(str(error))) from error


def _fetched(what: str, url: str, local: Path, most_bytes: int) -> int:
    """Copies a file, or the files of a folder, and returns how many bytes; raises ValueError where there are more."""
    if storage.is_folder(url):
        local.mkdir()
        places = {one: local / PurePosixPath(one).name for one in storage.list_files(url)}
    else:
        places = {url: local}
    copied = 0
    for one, place in places.items():
        with storage.open_file(one) as source, place.open("wb") as target:
            while piece := _piece(source, one):
                copied += len(piece)
                if copied > most_bytes:
                    raise ValueError(f"{what} is larger than what is fetched for a row here: give a smaller file")
                target.write(piece)
    return copied


def _piece(source: IO[bytes], path: str) -> bytes:
    with storage.as_os_error(path):
        return source.read(_PIECE_BYTES)
