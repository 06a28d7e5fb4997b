"""What parent and child of a sandboxed call say to each other. Nothing of the child's is ever unpickled.

The parent pickles a job. What comes back is messages, each with a kind, a length and a body: which file is opened, how
the call failed, or its value: JSON that counts the bytes in it, and a message for each of these. A value is JSON's,
bytes, a tuple, or one of the records that rows are prepared as.
"""

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from pydantic import BaseModel

from airshower.configs.camera_file import CameraTrack
from airshower.configs.messages import PackedFrames, PreparedClip, PreparedViews
from airshower.pipelines.sandbox.limits import SandboxLimits

HEADER = struct.Struct(">cQ")
OPENED, FAILED, VALUE, BLOB = b"o", b"f", b"v", b"b"
NO_MEMORY = "NoMemory"  # in place of an exception's name

_RECORDS: dict[str, type] = {kind.__name__: kind for kind in (PackedFrames, PreparedClip, PreparedViews)}
_RECORD, _BLOB = "\0record", "\0blob"  # keys that no mapping of ours has


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the child is to do."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    limits: SandboxLimits
    readable: tuple[str, ...]
    parent: int  # its process


def taken_apart(value: Any) -> tuple[bytes, list[bytes | memoryview]]:  # noqa: ANN401 - what calls return
    """A value as JSON text, and the bytes in it."""
    blobs: list[bytes | memoryview] = []
    plain = _plain(value, blobs)
    return json.dumps({"value": plain, "blobs": len(blobs)}).encode(), blobs


def put_together(value: Any, blobs: list[bytes]) -> Any:  # noqa: ANN401
    """The value that `taken_apart` took apart; raises ValueError or TypeError for what it can't have been."""
    if isinstance(value, list):
        return tuple(put_together(one, blobs) for one in value)
    if not isinstance(value, dict):
        return value
    if _BLOB in value:
        return blobs[value[_BLOB]]
    inner = {key: put_together(one, blobs) for key, one in value.items() if key != _RECORD}
    name = value.get(_RECORD)
    if name is None:
        return inner
    return CameraTrack.model_validate(inner) if name == CameraTrack.__name__ else _RECORDS[name](**inner)


def _plain(value: Any, blobs: list[bytes | memoryview]) -> Any:  # noqa: ANN401
    if isinstance(value, bytes | memoryview):
        blobs.append(value)
        return {_BLOB: len(blobs) - 1}
    if isinstance(value, BaseModel):
        return {_RECORD: type(value).__name__, **value.model_dump(mode="json")}
    if is_dataclass(value):
        held = {field.name: _plain(getattr(value, field.name), blobs) for field in fields(value)}
        return {_RECORD: type(value).__name__, **held}
    if isinstance(value, dict):
        return {key: _plain(one, blobs) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one, blobs) for one in value]
    return value
