"""A store on a file system: a local disk, or one that all machines share.

A file grows under a hidden name in its final folder and then gets its final name: by a hard link where one of several
writers must win, since a link, unlike a rename, fails where a name is taken, on NFS as well; by a rename where the last
one may. A writer that dies leaves its hidden file, which `names` passes over and `delete_folder` removes.

Deliberately no hard links to the files that are put: a link would tie the store to what happens to its source later.
"""

import errno
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, TypeVar

from airshower.cluster import storage
from airshower.cluster.backoff import retrying
from airshower.cluster.store_rules import StoreError, relative_path

_PART = ".part"
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)

Result = TypeVar("Result")


class LocalStore:
    """A folder as a store; it and its subfolders are made when they are first written to."""

    def __init__(self, location: str | Path) -> None:
        self.location = str(location)
        self._root = storage.absolute(os.path.expanduser(self.location))  # workers stand in other folders

    def create(self, path: str, data: bytes) -> bool:
        return self._ask(_create, path, data)

    def write(self, path: str, data: bytes) -> None:
        self._ask(_write, path, data)

    def put(self, path: str, local: Path) -> None:
        self._ask(_put, path, local)

    def read(self, path: str) -> bytes:
        return self._ask(lambda place: Path(place).read_bytes(), path)

    def names(self, folder: str) -> Iterator[str]:
        return (name for name, _ in _entries(self._place(folder) if folder else self._root, ""))

    def sizes(self, folder: str) -> Iterator[tuple[str, int]]:
        for name, entry in _entries(self._place(folder) if folder else self._root, ""):
            with suppress(FileNotFoundError):  # gone meanwhile, or a link to nothing
                yield name, entry.stat().st_size

    def delete(self, path: str) -> None:
        self._ask(lambda place: Path(place).unlink(missing_ok=True), path)

    def delete_folder(self, folder: str) -> None:
        self._ask(_delete_folder, folder)

    def url(self, path: str) -> str:
        return self._place(path)

    def local_path(self, path: str) -> Path:
        return Path(self._place(path) if path else self._root)

    def probe(self) -> None:
        """Raises StoreError unless files can be written here and the second one to create a file fails."""
        name = f".{uuid.uuid4().hex}{_PART}"
        try:
            won = [self.create(name, b"first"), self.create(name, b"second")]
            self.delete(name)
        except OSError as error:
            raise StoreError(f"{self.location}: {_refusal(error)}") from error
        if won != [True, False]:
            raise StoreError(
                f"{self.location}: two writers could create one file, so that rows might be made twice: use a file "
                "system on which hard links fail for names that are taken"
            )

    def _place(self, path: str) -> str:
        return os.path.join(self._root, relative_path(path))

    def _ask(self, call: Callable[..., Result], path: str, *args: object) -> Result:
        """Called again after errors that network file systems get over, such as ESTALE of NFS."""
        place = self._place(path)
        return retrying(partial(call, place, *args), place)


def _create(place: str, data: bytes) -> bool:
    with _part_of(place) as file:
        file.write(data)
        _sync(file)
        return _link(file.name, place)


def _write(place: str, data: bytes) -> None:
    with _part_of(place) as file:
        file.write(data)
        _sync(file)
        os.replace(file.name, place)


def _put(place: str, local: Path) -> None:
    with local.open("rb") as source, _part_of(place) as file:
        shutil.copyfileobj(source, file, 1 << 20)
        _sync(file)
        os.replace(file.name, place)


def _delete_folder(place: str) -> None:
    while os.path.lexists(place):
        try:
            shutil.rmtree(place)
        except FileNotFoundError:  # someone else removes it as well: go on until nothing is left
            continue


@contextmanager
def _part_of(place: str) -> Iterator[IO[bytes]]:
    """A new file beside `place`, which is gone under this name when the block ends."""
    folder = os.path.dirname(place)
    part = os.path.join(folder, f".{uuid.uuid4().hex}{_PART}")
    try:
        file = open(part, "xb")  # noqa: SIM115 - closed below
    except FileNotFoundError:
        os.makedirs(folder, exist_ok=True)
        file = open(part, "xb")  # noqa: SIM115 - closed below
    try:
        with file:
            yield file
    finally:
        Path(part).unlink(missing_ok=True)


def _sync(file: IO[bytes]) -> None:
    """Brings the content to the disk before it gets its final name.

    Otherwise a power failure may leave an empty file under that name: a row that counts as done, for good, without its
    videos. Losing the name as well is fine, as the row is then made again.
    """
    file.flush()
    os.fsync(file.fileno())


def _link(part: str, place: str) -> bool:
    """Whether this process gave `part` the name `place` as well."""
    try:
        os.link(part, place)
    except OSError as error:
        # NFS repeats a request whose answer got lost, and the repeated one meets the link that the first has made
        if os.stat(part).st_nlink == 2:
            return True
        if isinstance(error, FileExistsError):
            return False
        raise
    return True


def _entries(place: str, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    try:
        entries = retrying(lambda: os.scandir(place), place)
    except FileNotFoundError:
        return
    with entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(entry.path, f"{prefix}{entry.name}/")
            elif not (entry.name.startswith(".") and entry.name.endswith(_PART)):
                yield prefix + entry.name, entry


def _refusal(error: OSError) -> str:
    what = error.strerror or str(error)
    if error.filename2 is not None and error.errno in _NO_LINKS:
        return f"hard links are refused ({what}), by which one of two writers wins: use another file system or s3://"
    if error.errno in _NO_SPACE:
        return f"can't be written ({what}): free space there or choose another folder"
    return f"can't be written ({what}): choose a folder that may be written, on every machine of the cluster"
