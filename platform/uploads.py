"""A request body into a spec: JSON, or multipart form data whose files are streamed to disk.

Files are stored under names made here from the part's name; what the client calls its files is never looked at. It
assumes that the folder is the request's own. It does not look into the videos: that is the prepare stage's work.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from airshower.configs.cameras import RIG
from airshower.configs.spec import CONTROLS
from airshower.pipelines.row_values import given_fields

SPEC_LIMIT_BYTES = 1 << 20  # a spec is text: a megabyte is far more than any prompt needs

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


class BodyError(ValueError):
    """The body is not a spec, or not a form that holds one."""


class BodyTooLargeError(ValueError):
    """The body is longer than the server takes."""


async def limited(body: AsyncIterator[bytes], limit_bytes: int, what: str) -> AsyncIterator[bytes]:
    """The body's pieces; raises BodyTooLargeError as soon as they exceed `limit_bytes` together."""
    received = 0
    async for piece in body:
        received += len(piece)
        if received > limit_bytes:
            raise BodyTooLargeError(f"{what} is larger than {limit_bytes} bytes, this server's limit: send less")
        yield piece


async def json_spec(body: AsyncIterator[bytes]) -> dict[str, Any]:
    """The spec of a JSON body; raises BodyError or BodyTooLargeError."""
    return parse_spec(b"".join([piece async for piece in limited(body, SPEC_LIMIT_BYTES, "the spec")]))


async def form_spec(
    body: AsyncIterator[bytes], content_type: str, folder: Path, limit_bytes: int
) -> tuple[dict[str, Any], dict[str, Path]]:
    """The spec of a multipart form, and its files as stored in `folder`: {part: path}.

    Raises BodyError or BodyTooLargeError; what was stored until then is left to the caller, as is the folder.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise BodyError("the content type has no boundary: let the HTTP client write multipart/form-data itself")
    form = _Form(folder)
    parser = MultipartParser(boundary, form.callbacks())
    try:
        async for piece in limited(body, limit_bytes, "the upload"):
            await asyncio.to_thread(parser.write, piece)
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


def parse_spec(text: bytes) -> dict[str, Any]:
    """The fields that the JSON object in `text` gives, as files give them; raises BodyError."""
    try:
        spec = json.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also UnicodeDecodeError
        raise BodyError(f"spec: not JSON ({error})") from error
    if not isinstance(spec, dict):
        raise BodyError(f"spec: a {type(spec).__name__}, not a JSON object: send one row")
    try:
        return given_fields(spec)  # here, so that what is looked at for access is what will be read
    except ValueError as error:
        raise BodyError(f"spec: {error}") from error


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
        self._disposition = b""

    def callbacks(self) -> Any:  # noqa: ANN401 - the parser's own mapping of event names
        return {
            "on_part_begin": self._begin_part,
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

    def _begin_part(self) -> None:
        self._disposition = b""

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _start_part(self) -> None:
        part = parse_options_header(self._disposition)[1].get(b"name", b"").decode("utf-8", "replace")
        if part != "spec" and part not in PARTS:
            raise BodyError(f"{part!r} is no part of this form: use spec, {', '.join(PARTS)}")
        if part in self.texts or part in self.files:
            raise BodyError(f"{part!r} is in the form twice: send it once")
        self._part = part
        if part == "spec":
            self.texts[part] = bytearray()
        else:
            self.files[part] = self._folder / f"{part}.mp4"
            self._file = self.files[part].open("xb")

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
