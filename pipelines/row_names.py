"""Names of rows: what a row is called that has no name, and which rows would write the same files.

Which names files can have is the row format's rule (`airshower.configs.row_spec`). Upper and lower case make no
difference here: on some disks, `A.mp4` and `a.mp4` are one file.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from airshower.configs.messages import Row, RowError
from airshower.configs.row_spec import MOST_NAME_BYTES, names_files

_HASH_DIGITS = 8


def usable_name(text: str, end: str = "") -> str:
    """`text` and `end` as a name that a row may have: what files can't be called becomes "-", long texts are cut.

    Texts of which little is left stay apart by digits of their hash.
    """
    if names_files(text + end):
        return text + end
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    kept = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("._-")
    if not kept or len(kept + end) > MOST_NAME_BYTES:
        digits = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
        kept = f"{kept[: MOST_NAME_BYTES - len(end) - _HASH_DIGITS - 1] or 'row'}-{digits}"
    return kept + end


class TakenNames:
    """The file names of the rows so far."""

    def __init__(self) -> None:
        self._owners: dict[str, int] = {}  # the row that writes it, by a file's stem in small letters

    def claim(self, row: Row, rows: Sequence[Row]) -> Row:
        """The row, failed where it would write a file of one of `rows`, those before it. Failed rows write nothing."""
        stems = [stem.lower() for stem in (() if row.spec is None else row.spec.video_stems())]
        owner = next((self._owners[stem] for stem in stems if stem in self._owners), None)
        if owner is not None:
            return replace(row, spec=None, error=_clash(row, rows[owner]))
        self._owners |= dict.fromkeys(stems, row.index)
        return row


def _clash(row: Row, owner: Row) -> RowError:
    if owner.name == row.name:
        rule = f"is already used by {owner.source}"
    elif owner.name.lower() == row.name.lower():
        rule = f"is one file with {owner.name!r} from {owner.source} on disks that don't tell A from a"
    else:
        rule = f"clashes with the files of {owner.name!r} from {owner.source}"
    message = f"{row.source} ({row.name}): name {row.name!r} {rule}: give each row its own name"
    return RowError(stage="read", type="InputError", message=message)
