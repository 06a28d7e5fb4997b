"""What a file holds, in a line that is the same wherever the file lies, if it can be known without much reading.

A local file is known by its SHA-256, which is remembered until the file changes; a remote one by what its store says of
it (ETag or checksum, and size), and read only where the store says nothing. A folder is known by its files.
"""

import hashlib
import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from fsspec.core import url_to_fs

from airshower.cluster import storage
from airshower.cluster.user_cache import user_cache_folder

_BUSY_S = 30.0  # processes that remember at the same time wait for each other


class ContentIdentities:
    """Answers for one moment; every file is looked at once. Safe for threads."""

    def __init__(self, remembered: Callable[[], Path] = lambda: Path(user_cache_folder("digests"))) -> None:
        self._database = remembered() / "files.sqlite"
        self._known: dict[str, str] = {}
        self._lock = threading.Lock()
        self._connection = self._connected()

    def of(self, path: str) -> str:
        """Identity of a file or folder, by path or URL; raises OSError where it can't be read."""
        known = self._known.get(path)
        if known is None:
            known = self._known[path] = self._of_folder(path) if storage.is_folder(path) else self._of_file(path)
        return known

    def _of_folder(self, path: str) -> str:
        files = storage.list_files(path)
        named = "\n".join(f"{file.rpartition('/')[2]} {self._of_file(file)}" for file in files)
        return f"folder {hashlib.sha256(named.encode()).hexdigest()}"

    def _of_file(self, path: str) -> str:
        if not storage.is_url(path):
            return f"sha256 {self._sha256(path)}"
        with storage.as_os_error(path):
            fs, place = url_to_fs(path)
            fs.invalidate_cache(place)  # this process may have looked before
            version = storage.stated_version(fs.info(place))
        if version.split(" ")[0]:
            return version
        return f"sha256 {hashlib.sha256(storage.read_bytes(path)).hexdigest()}"

    def _sha256(self, path: str) -> str:
        with storage.as_os_error(path), open(path, "rb") as file:
            status = os.fstat(file.fileno())
            numbers = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            state = f"{path} {numbers}"
            remembered = self._remembered(state)
            if remembered is None:
                remembered = hashlib.file_digest(file, "sha256").hexdigest()
                self._remember(state, remembered)
        return remembered

    def _connected(self) -> sqlite3.Connection | None:
        """The memory, or None where it can't be had: it only saves time."""
        try:
            self._database.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._database, timeout=_BUSY_S, check_same_thread=False, isolation_level=None)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=OFF")  # a lost line is read again from its file
            connection.execute("CREATE TABLE IF NOT EXISTS files (state TEXT PRIMARY KEY, sha256 TEXT) WITHOUT ROWID")
        except (OSError, sqlite3.Error):
            return None
        return connection

    def _remembered(self, state: str) -> str | None:
        if self._connection is None:
            return None
        with self._lock:
            try:
                found = self._connection.execute("SELECT sha256 FROM files WHERE state = ?", (state,)).fetchone()
            except sqlite3.Error:
                return None
        return None if found is None else str(found[0])

    def _remember(self, state: str, sha256: str) -> None:
        if self._connection is None:
            return
        with self._lock, suppress(sqlite3.Error):
            self._connection.execute("INSERT OR REPLACE INTO files VALUES (?, ?)", (state, sha256))
