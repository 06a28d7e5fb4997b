"""Files that several machines write below one location, local or remote, with a create that exactly one writer wins."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from airshower.cluster import storage
from airshower.cluster.local_store import LocalStore
from airshower.cluster.object_store import ObjectStore
from airshower.cluster.store_rules import StoreError

__all__ = ["Store", "StoreError", "open_store"]


class Store(Protocol):
    """Files below one location, reached by paths relative to it ("a/b.json"). Small to pickle.

    Every call raises ValueError for a path that isn't below the location, and OSError, after retries where they may
    help, for what the storage refuses. What a call has written survives the loss of its machine's power.
    """

    @property
    def location(self) -> str:
        """As the user gave it."""

    def create(self, path: str, data: bytes) -> bool:
        """True when this call made the file, False when it was there, whoever made it; whole or not at all.

        A retried request may meet the file that its own first try has made. That is found out by comparing contents:
        so `data` must differ from that of every other writer, for instance by a random number.
        """

    def write(self, path: str, data: bytes) -> None:
        """Makes or replaces the file; readers see the old content or the new one."""

    def put(self, path: str, local: Path) -> None:
        """Makes or replaces the file by the content of a local one, which stays; readers see all of it or nothing."""

    def read(self, path: str) -> bytes:
        """The file's content; raises FileNotFoundError where there is none."""

    def names(self, folder: str) -> Iterator[str]:
        """All files below a folder at any depth, relative to it, in no order; none for a missing folder.

        "" is the location itself. Memory doesn't grow with the number of files. Files that come or go meanwhile may be
        in it or not.
        """

    def sizes(self, folder: str) -> Iterator[tuple[str, int]]:
        """The same with each file's size in bytes; those of a folder without folders follow each other."""

    def delete(self, path: str) -> None:
        """Removes the file, if there is one."""

    def delete_folder(self, folder: str) -> None:
        """Removes the folder, if there is one, with all files below."""

    def url(self, path: str) -> str:
        """What a reader opens, by fsspec or as a local path."""

    def local_path(self, path: str) -> Path | None:
        """Where the file or folder is on this machine's file system; None where it isn't. "" is the location."""


def open_store(location: str | Path, *, probe: bool = True) -> Store:
    """The store at a local path or URL; raises StoreError where several writers couldn't rely on it.

    The probe writes to the location, and makes the folder if it is a local one. Processes that get a location that was
    probed already do without.
    """
    location = str(location)
    store = ObjectStore(location) if storage.is_url(location) else LocalStore(location)
    if probe:
        store.probe()
    return store
