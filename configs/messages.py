"""What crosses actor boundaries: plain frozen records, small or compressed.

A row travels through the pipeline as a `Row`. An error is data: a stage that fails sets `error` and later stages pass
the row on. What the generator needs of a row's videos travels losslessly packed (`airshower.cluster.packing`); the
frames that it makes stay in its process, where they become a video.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from airshower.configs.camera_file import CameraTrack
from airshower.configs.row_formats import AnySpec
from airshower.configs.spans import Span
from airshower.configs.spec import Control


@dataclass(frozen=True, kw_only=True)
class RowError:
    """Why a row failed: the stage it failed in, the kind of error and one line for the user."""

    stage: str
    type: str
    message: str
    transient: bool = False  # a network or storage that may be well again: no fault of the row

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, kw_only=True)
class PackedFrames:
    """Frames, losslessly compressed or, within a process, as they are; unpacks to uint8 (frames, height, width, 3)."""

    data: bytes | memoryview
    coding: Literal["color", "gray", "none"] = "color"  # gray: all channels are equal, and one is kept
    frames: int
    height: int
    width: int


@dataclass(frozen=True, kw_only=True)
class PreparedClip:
    """What the generator needs of a row, and what the gallery shows of its inputs.

    Controls all have the clip's frame count and size. An input video is there encoded, as it is shown, and as frames
    only where the generator or the shown clip needs its pixels.
    """

    fps: float
    frames: int
    height: int
    width: int
    input_height: int
    input_width: int
    controls: dict[Control, PackedFrames]
    masks: dict[Control, PackedFrames]
    input_frames: PackedFrames | None = None
    shown_input: bytes | None = None  # an mp4, or a jpeg of a single frame
    style_image: PackedFrames | None = None  # one frame, at its own size
    guided_region: PackedFrames | None = None  # white where the result is kept close to the input
    annotators: dict[str, str] = field(default_factory=dict)  # networks that computed some of it: SHA-256 of weights
    camera_tracks: dict[str, CameraTrack] = field(default_factory=dict)  # by camera; of the input's size
    warnings: tuple[str, ...] = ()  # what in the row's files can hardly be meant, a line each


@dataclass(frozen=True, kw_only=True)
class PreparedViews:
    """What the generator needs of a row of several cameras, by camera in the order of their frames.

    `controls` all have the clip's frame count and size, and are empty for a model without; `inputs` begin with the
    frames that the clip starts with.
    """

    fps: float
    frames: int  # of each camera
    height: int
    width: int
    cameras: tuple[str, ...]
    controls: dict[str, PackedFrames]
    inputs: dict[str, PackedFrames]
    camera_tracks: dict[str, CameraTrack] = field(default_factory=dict)  # of the inputs' size
    warnings: tuple[str, ...] = ()  # as in PreparedClip


@dataclass(frozen=True, kw_only=True)
class TextEmbedding:
    """Prompts as a network's blocks attend to them: `data` holds float32 values of `shape` (tokens, channels).

    The tokens of several cameras stand one camera after the other.
    """

    data: bytes
    shape: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class PartTime:
    """When a replica did one part of a clip, such as denoising one of its chunks."""

    part: str  # as in GeneratedClip.seconds: load_s, encode_s, denoise_s, decode_s
    begun_ns: int  # Unix time
    seconds: float

    @property
    def ended_s(self) -> float:
        """Unix time."""
        return self.begun_ns / 1e9 + self.seconds


@dataclass(frozen=True, kw_only=True)
class GeneratedClip:
    """The generator's answer: frames, those of several cameras one camera after the other, and what made them."""

    frames: PackedFrames
    model: dict[str, Any]  # name, family, weights identity
    chunks: int
    seconds: dict[str, float]  # load_s, encode_s, denoise_s, decode_s
    resumed_chunks: int = 0  # of `chunks`, made by another process before; times and arithmetic are of the others
    peak_gpu_gib: float | None = None  # most memory that tensors held at a time; None on a CPU
    gpu: str | None = None  # its type; None on a CPU
    gpus: int = 0  # that made it together
    replica: str = ""  # machine and process
    parts: tuple[PartTime, ...] = ()  # one after the other, what `seconds` sums up
    flops: dict[str, float] = field(default_factory=dict)  # by part, as in `seconds`; none where they aren't known


@dataclass(frozen=True, kw_only=True)
class StoredClip:
    """What listings say of a committed clip while it is whole."""

    listing: str  # of its files: `airshower.configs.records.listing_hash`
    record_bytes: int  # of its commit in the ledger


@dataclass(frozen=True, kw_only=True)
class Row:
    """One request on its way: spec and source at first, results as the stages add them.

    `spec` is None when the row could not even be validated; then `error` says why. `source` names the file (and line)
    the row came from, for messages.
    """

    index: int
    name: str
    source: str
    spec: AnySpec | None
    model: str = ""  # name of its preset
    prompt: str = ""
    key: str = ""  # what it depends on, as a hash; rows outside a run have none
    inputs: dict[str, str] = field(default_factory=dict)  # what its files held when the key was made: a hash by field
    edition: int = 0  # how many commits of its key are damaged
    traceparent: str = ""  # its trace, as in W3C Trace Context; rows outside a run have none
    error: RowError | None = None
    seconds: dict[str, float] = field(default_factory=dict)  # by stage
    prepared: PreparedClip | PreparedViews | None = None
    text: TextEmbedding | None = None
    negative_text: TextEmbedding | None = None
    generated: GeneratedClip | None = None
    outputs: dict[str, str] = field(
        default_factory=dict
    )  # kind (video, control_edge, mask_edge, input, cameras, record): path in the run folder
    stored: StoredClip | None = None  # once it is committed
    spans: tuple[Span, ...] = ()  # of the stages so far

    def failed(self, stage: str, error: BaseException, *, transient: bool = False) -> "Row":
        """This row with the error as data and no payload."""
        said = " ".join(str(error).split())
        message = RowError(stage=stage, type=type(error).__name__, message=said, transient=transient)
        return replace(self, error=message, prepared=None, text=None, negative_text=None, generated=None)
