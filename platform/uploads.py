"""A request body into a spec: JSON, or multipart form data whose files are streamed to disk.

Files are stored under names made here from the part's name; what the client calls its files is never looked at. It
assumes that the folder is the request's own. It does not look into the videos: that is the prepare stage's work.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, ParamSpec, TypeVar

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from airshower.configs.cameras import RIG
from airshower.configs.spec import CONTROLS
from airshower.platform.posted_spec import SPEC_LIMIT_BYTES, BodyError, parse_spec

STALL_S = 60.0  # without a byte, after which a client is taken for gone
_MOST_HEADERS = 8  # of a part; three are usual
_MOST_HEADER_BYTES = 2048
PLAIN_CODINGS = ("", "identity", "binary", "8bit", "7bit")  # that leave bytes as they are
_UTF8 = ("", "utf-8", "utf8", "us-ascii")

Parts = dict[
    str, tuple[str | None, str]
]  # by part of the form: object of the row (None: itself) and field for the file

CLIP_PARTS: Parts = {
    "video": (None, "video_path"),
    "cameras": (None, "camera_path"),
    **{key: (key, "control_path") for key in CONTROLS},
    **{f"mask_{key}": (key, "mask_path") for key in CONTROLS},
}
VIEW_PARTS: Parts = {
    "input": (None, "input_path"),
    "cameras": (None, "camera_path"),
    **{camera: (camera, "control_path") for camera in RIG},
    **{f"input_{camera}": (camera, "input_path") for camera in RIG},
}
PARTS: Parts = CLIP_PARTS | VIEW_PARTS

P = ParamSpec("P")
T = TypeVar("T")


class BodyTooLargeError(ValueError):
    """The body is longer than the server takes."""


class BodyStalledError(ValueError):
    """The body stopped coming."""


async def in_thread(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """As `asyncio.to_thread`, but where the caller is cancelled it ends after the thread: nothing is written later."""
    work = asyncio.ensure_future(asyncio.to_thread(function, *arguments, **named))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


async def limited(
    body: AsyncIterator[bytes], limit_bytes: int, what: str, stall_s: float = STALL_S
) -> AsyncIterator[bytes]:
    """The body's pieces; raises BodyTooLargeError as soon as they exceed `limit_bytes` together.

    Raises BodyStalledError where none comes for `stall_s`.
    """
    received = 0
    pieces = aiter(body)
    while True:
        try:
            async with asyncio.timeout(stall_s):
                piece = await anext(pieces)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise BodyStalledError(f"{what} stopped coming for {stall_s:.0f} s: send it again") from None
        received += len(piece)
        if received > limit_bytes:
            raise BodyTooLargeError(f"{what} is larger than {limit_bytes} bytes, this server's limit: send less")
        yield piece


async def json_spec(body: AsyncIterator[bytes]) -> dict[str, Any]:
    """The spec of a JSON body; raises BodyError, BodyTooLargeError or BodyStalledError."""
    return parse_spec(b"".join([piece async for piece in limited(body, SPEC_LIMIT_BYTES, "the spec")]))


async def form_spec(
    body: AsyncIterator[bytes], content_type: str, folder: Path, limit_bytes: int
) -> tuple[dict[str, Any], dict[str, Path]]:
    """The spec of a multipart form, and its files as stored in `folder`: {part: path}.

    Raises BodyError, BodyTooLargeError or BodyStalledError; what was stored until then is left to the caller, as is the
    folder.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise BodyError("the content type has no boundary: let the HTTP client write multipart/form-data itself")
    form = _Form(folder)
    try:
        parser = MultipartParser(
            boundary, form.callbacks(), max_header_count=_MOST_HEADERS, max_header_size=_MOST_HEADER_BYTES
        )
        async for piece in limited(body, limit_bytes, "the upload"):
            await in_thread(parser.write, piece)
        parser.finalize()
    except FormParserError as error:
        raise BodyError(f"the form can't be read: {error}") from error
    finally:
        form.close()
    if not form.ended:
        raise BodyError("the form ends before its last boundary: send it again, whole")
    if "spec" not in form.texts:
        raise BodyError("spec: the form has no such part: add the row as JSON text")
    return parse_spec(bytes(form.texts["spec"])), form.files


def with_files(spec: Mapping[str, Any], files: Mapping[str, Path]) -> dict[str, Any]:
    """The spec with each uploaded file in its field; raises BodyError where the spec already names one there."""
    filled = dict(spec)
    for part, path in files.items():
        control, field = PARTS[part]
        settings = filled if control is None else _own_settings(filled, control)
        if settings.get(field) is not None:
            where = field if control is None else f"{control}.{field}"
            raise BodyError(f"{where}: named in the spec and uploaded as {part!r}: give one of the two")
        settings[field] = str(path)
    return filled


def _own_settings(spec: dict[str, Any], control: str) -> dict[str, Any]:
    given = spec.get(control)
    if given is not None and not isinstance(given, Mapping):
        raise BodyError(f"{control}: a {type(given).__name__}, not a JSON object: use {{}} for the defaults")
    spec[control] = dict(given or {})
    return spec[control]


class _Form:
    """Receives the parts of a form as the parser meets them: text in memory, files on disk."""

    def __init__(self, folder: Path) -> None:
        self.texts: dict[str, bytearray] = {}
        self.files: dict[str, Path] = {}
        self.ended = False
        self._folder = folder
        self._file: BinaryIO | None = None
        self._part = ""
        self._header = b""
        self._value = b""
        self._headers: dict[bytes, bytes] = {}

    def callbacks(self) -> Any:  # noqa: ANN401 - the parser's own mapping of event names
        return {
            "on_part_begin": self._headers.clear,
            "on_header_field": self._add_header_name,
            "on_header_value": self._add_header_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._start_part,
            "on_part_data": self._add_data,
            "on_part_end": self.close,
            "on_end": self._end,
        }

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header = self._value = b""

    def _start_part(self) -> None:
        part = self._part_name()
        if part in self.texts or part in self.files:
            raise BodyError(f"{part!r} is in the form twice: send it once")
        coding = _lower(self._headers.get(b"content-transfer-encoding", b""))
        if coding not in PLAIN_CODINGS:
            raise BodyError(f"{part!r} is sent as {coding!a:.40}: send its bytes as they are")
        self._part = part
        if part != "spec":
            self.files[part] = self._folder / f"{part}.mp4"
            self._file = self.files[part].open("xb")
            return
        charset = _lower(parse_options_header(self._headers.get(b"content-type", b""))[1].get(b"charset", b""))
        if charset not in _UTF8:
            raise BodyError(f"spec: sent as {charset!a:.40}: send it in UTF-8")
        self.texts[part] = bytearray()

    def _part_name(self) -> str:
        name = parse_options_header(self._headers.get(b"content-disposition", b""))[1].get(b"name")
        if name is None:
            raise BodyError("a part of the form has no name: name it in its content disposition")
        part = name.decode("utf-8", "backslashreplace")
        if part != "spec" and part not in PARTS:
            raise BodyError(f"{part!a:.60} is no part of this form: use spec, {', '.join(PARTS)}")
        return part

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])
            return
        text = self.texts[self._part]
        text += data[start:end]
        if len(text) > SPEC_LIMIT_BYTES:
            raise BodyTooLargeError(f"the spec is larger than {SPEC_LIMIT_BYTES} bytes: send less")

    def _end(self) -> None:
        self.ended = True


def _lower(header: bytes) -> str:
    return header.decode("latin-1").strip().lower()
