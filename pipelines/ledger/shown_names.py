"""Finished clips under the names that people look for: NAME.mp4 in the run folder, a link to the committed file.

Links show the rows as the last run called them. They are a convenience of local folders: object storage has no links,
and nothing reads them but people. Only such a link is ever replaced, told by where it points to: whatever else has the
name is somebody's, and stays.
"""

import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from airshower.cluster.store import Store
from airshower.configs.messages import Row
from airshower.pipelines.ledger.damage import ATTEMPT
from airshower.pipelines.ledger.ledger import DATA
from airshower.pipelines.manifest import ManifestEntry
from airshower.pipelines.own_files import ROOT_NAMES, InTheWayError, listed

_TARGET = re.compile(rf"{DATA}/{ATTEMPT.pattern}/[^/]+")
_ENDS = ("{}.mp4", "{}.jpg")  # of a video stem
_RECORDS = ("{}.json", "{}_cameras.json")  # of a name


def show(store: Store, entry: ManifestEntry) -> list[str]:
    """Links the files of a finished row; returns the names that something else has, which stays. Raises OSError."""
    folder, kept = store.local_path(""), []
    if folder is None:
        return []
    for name, path in shown_as(entry.name, entry.outputs).items():
        if not _linked(folder / name, path):
            kept.append(name)
    return kept


def hide(store: Store, name: str, outputs: Mapping[str, str]) -> None:
    """Removes the links to a clip that doesn't count any more, or not under this name; raises OSError."""
    folder = store.local_path("")
    if folder is None:
        return
    for shown, path in shown_as(name, outputs).items():
        with suppress(FileNotFoundError):
            if os.path.islink(folder / shown) and os.readlink(folder / shown) == path:
                _taken_away(folder / shown)


def shown_as(name: str, outputs: Mapping[str, str]) -> dict[str, str]:
    """Names in the run folder and paths of a clip's files; the row may be called otherwise than when it was made."""
    made_as = PurePosixPath(outputs["record"]).stem
    return {f"{name}{PurePosixPath(path).name.removeprefix(made_as)}": path for path in sorted(set(outputs.values()))}


def is_shown_name(path: Path | str) -> bool:
    """Whether a file is a link as we make them."""
    try:
        return _TARGET.fullmatch(os.readlink(path)) is not None
    except OSError:
        return False


def _linked(link: Path, target: str) -> bool:
    while True:
        try:
            os.symlink(target, link)
        except FileExistsError:
            if os.path.islink(link) and os.readlink(link) == target:
                return True
            if not _taken_away(link):
                return False
        else:
            return True


def _taken_away(link: Path) -> bool:
    """Removes a link of ours, and nothing else. What goes is looked at once more: nobody's file may come between."""
    if not is_shown_name(link):
        return False
    aside = link.with_name(f".{uuid.uuid4().hex}.part")
    with suppress(FileNotFoundError):  # another run was faster
        os.rename(link, aside)
        if not is_shown_name(aside):
            os.rename(aside, link)
            return False
        os.unlink(aside)
    return True


class NamesInTheWay:
    """Everything in a run folder that its links may not replace, as one look into it has it."""

    def __init__(self, store: Store) -> None:
        folder = store.local_path("")
        self._folder = folder
        self._names = set(_foreign_names(folder)) - set(ROOT_NAMES) if folder is not None else set()

    def of(self, rows: Iterable[Row]) -> list[str]:
        """Those that have a name that some row's file will have."""
        if not self._names:
            return []
        return sorted({name for row in rows for name in _names_of(row) if name in self._names})

    def refuse(self, rows: Iterable[Row]) -> None:
        """Raises InTheWayError, naming them, where there are any."""
        if found := self.of(rows):
            raise InTheWayError(
                f"{self._folder}: holds {listed(found)}, where clips of this run would be shown: they are kept, and "
                "nothing is made: give another --output"
            )


def _foreign_names(folder: Path) -> Iterator[str]:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        yield from (entry.name for entry in entries if not (entry.is_symlink() and is_shown_name(entry.path)))


def _names_of(row: Row) -> Iterator[str]:
    if row.spec is not None:
        yield from (end.format(stem) for stem in row.spec.video_stems() for end in _ENDS)
        yield from (end.format(row.name) for end in _RECORDS)
