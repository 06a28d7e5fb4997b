"""The key of a row: what its clip depends on, as a hash.

Rows with one key give one clip, on any machine and in any run. Its name, its place in a manifest and the folders that
its inputs lie in don't count, their content does; so a row that is moved or renamed is not made again, and one whose
input changes is. Its camera file counts as well, though no frame depends on it: the clip's commit holds a copy, and a
commit is never changed. The number and kind of GPUs don't count either, though they may move a value by a level of 255.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from airshower.configs.mathematics import MATHEMATICS
from airshower.configs.messages import Row
from airshower.configs.row_formats import AnySpec

_NOT_OF_THE_CLIP = ("name", "output_dir", "prompt", "prompt_path")  # the prompt counts as text, wherever it is from
_SHORT = 16  # digits of a hash that only has to change
# Fields that came later: left out while not given, so that older rows keep their keys.
_ADDED: dict[str, object] = {"camera_path": None, "keep_damaged_frames": False, "depth.values": None}


def row_key(row: Row, *, content: Callable[[str], str], weights: str, salt: str = "") -> str:
    """The key of a row with a spec, 64 hexadecimal digits.

    `content` says what a file holds, `weights` which ones make the row. `salt` sets the keys of a fresh start apart
    from earlier ones.
    """
    if row.spec is None:
        raise ValueError(f"row {row.name}: has no spec, so it has no key")
    what = {
        "mathematics": MATHEMATICS,
        "model": row.model,
        "weights": weights,
        "prompt": row.prompt,
        "spec": _canonical(row.spec, content),
        "salt": salt,
    }
    return _sha256(json.dumps(what, sort_keys=True, separators=(",", ":")))


def inputs_of(spec: AnySpec, content: Callable[[str], str]) -> dict[str, str]:
    """What each file of a row holds, by its field, as a short hash; a prompt's file doesn't count, its text does."""
    paths = {name: path for name, path in spec.files().items() if name not in _NOT_OF_THE_CLIP}
    return {name: _sha256(content(path))[:_SHORT] for name, path in paths.items()}


def nth_key(key: str, number: int) -> str:
    """The key of the nth of several equal rows: 1 is the first."""
    return key if number == 1 else _sha256(f"{key} {number}")


def _canonical(spec: AnySpec, content: Callable[[str], str]) -> dict[str, Any]:
    """The spec's settings, with the content of its files in place of their paths."""
    fields = spec.model_dump(mode="json")
    for name, path in spec.files().items():
        owner, dot, key = name.rpartition(".")
        (fields[owner] if dot else fields)[key] = content(path)
    for name in _NOT_OF_THE_CLIP:
        fields.pop(name, None)
    for name, default in _ADDED.items():
        owner, dot, key = name.rpartition(".")
        group = fields.get(owner) if dot else fields
        if group is not None and group[key] == default:
            del group[key]
    return fields


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
