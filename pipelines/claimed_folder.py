"""Names in a local folder that a command has taken for what it writes, since other things may lie there as well.

    .airshower/<command>.json    the names, and the SHA-256 of those that are files, as they were written last

A name that is there and wasn't taken, or a file that was changed since, is somebody's: the command refuses to begin.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from airshower.cluster.store import Store, open_store
from airshower.pipelines.own_files import InTheWayError, listed


class ClaimedFolder:
    """One command's names in a folder; `claim` comes before anything is written, `wrote` after each file."""

    def __init__(self, folder: Path, command: str) -> None:
        self._folder, self._book = folder, _book(command)
        self._store: Store = open_store(folder, probe=False)

    def claim(self, names: Iterable[str]) -> None:
        """Takes names; raises InTheWayError where others have them, OSError where the folder can't be written."""
        taken = self._taken()
        others = [name for name in names if (self._folder / name).exists() and not self._is_ours(name, taken)]
        if others:
            raise InTheWayError(
                f"{self._folder}: holds {listed(others)}, which this command would write and didn't, or which changed "
                "since: nothing is made: give another --output"
            )
        self._keep({**dict.fromkeys(names, ""), **taken})

    def wrote(self, *names: str) -> None:
        """Files that were written, of names that are taken."""
        self._keep(self._taken() | {name: _sha256(self._folder / name) for name in names})

    def _is_ours(self, name: str, taken: dict[str, str]) -> bool:
        path = self._folder / name
        return name in taken and (path.is_dir() or taken[name] in ("", _sha256(path)))

    def _taken(self) -> dict[str, str]:
        try:
            found = json.loads(self._store.read(self._book))
        except (FileNotFoundError, ValueError):
            return {}
        return {str(name): str(sha256) for name, sha256 in found.items()} if isinstance(found, dict) else {}

    def _keep(self, taken: dict[str, str]) -> None:
        self._store.write(self._book, json.dumps(taken, indent=2).encode())


def is_claimed(folder: Path, command: str) -> bool:
    """Whether a folder is one that a command writes into."""
    return (folder / _book(command)).is_file()


def _book(command: str) -> str:
    return f".airshower/{command}.json"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
