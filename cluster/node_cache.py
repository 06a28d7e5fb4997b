"""Copies of remote files on this machine, fetched once for all its processes and then read like any local file.

What a store says of a file (ETag, or else its times, and its size) is part of its copy's name: a file that changes is
fetched again. Below the cache's folder, `files/` holds the copies and `copies/` names them as the URL does, by links. A
fetch that ends early leaves a `.part` file, which the next one goes on with where the store can. Old copies stay until
the user deletes them.
"""

import fcntl
import hashlib
import logging
import os
import shutil
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs

from airshower.cluster import storage
from airshower.cluster.user_cache import user_cache_folder

_BLOCK_BYTES = 16 << 20
_PARALLEL_FILES = 4
_TOLD_EVERY_S = 5.0
_CONNECT_TIMEOUT_S = 60.0

_log = logging.getLogger(__name__)

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class _RemoteFile:
    """One file as its store describes it."""

    url: str
    place: str  # in `fs`
    fs: AbstractFileSystem
    size_bytes: int | None
    version: str

    @property
    def key(self) -> str:
        return hashlib.sha256(f"{self.url}\n{self.version}".encode()).hexdigest()

    @property
    def is_http(self) -> bool:
        return self.url.startswith(("http://", "https://"))

    def __str__(self) -> str:
        return self.url.partition("?")[0] if self.is_http else self.url  # what follows may be a signature


def local_copy(location: str, *, sha256: str | None = None, say: Say = _log.info) -> Path:
    """Where a file or folder is on this machine, fetched unless it is: a path that is no URL stays as it is.

    A URL of a web server is a folder's if it ends with a slash. `say` is told how a fetch goes. Raises OSError in one
    line that names the URL, also for a file that hasn't the SHA-256 that is asked for, which is removed.
    """
    if not storage.is_url(location):
        return Path(location)
    root = Path(user_cache_folder("weights"))
    for part in ("files", "copies"):
        (root / part).mkdir(parents=True, exist_ok=True)
    with storage.as_os_error(location):
        files, is_folder = _remote_files(location)
    if sha256 is not None and is_folder:
        raise OSError(f"{location}: is a folder, and a checksum is a file's: name one file")
    copies = dict(zip(files, _fetched(list(files.values()), root / "files", say), strict=True))
    if sha256 is not None:
        _verify(location, next(iter(copies.values())), sha256)
    folder = _named(copies, root / "copies")
    return folder if is_folder else folder / next(iter(copies))


def remote_version(location: str) -> str:
    """What a store says of all files below a URL, as a hash; nothing is fetched. Raises OSError."""
    with storage.as_os_error(location):
        files, _ = _remote_files(location)
    named = "\n".join(f"{name} {file.version}" for name, file in sorted(files.items()))
    return hashlib.sha256(named.encode()).hexdigest()


def _remote_files(url: str) -> tuple[dict[str, _RemoteFile], bool]:
    """The files below a URL by relative name, and whether it is a folder's."""
    fs, place = url_to_fs(url)
    fs.invalidate_cache()  # a file may have changed since this process has looked
    is_http = url.startswith(("http://", "https://"))
    if is_http and not url.endswith("/"):
        name = unquote(urlsplit(url).path).rpartition("/")[2]
        return {name or "file": _described(fs, place, url)}, False
    if not is_http and fs.info(place)["type"] != "directory":
        return {PurePosixPath(place).name: _described(fs, place, url)}, False
    prefix = place.rstrip("/") + "/"
    found = [name for name in fs.find(place) if not name.endswith("/") and not (is_http and "?" in name)]
    with ThreadPoolExecutor(_PARALLEL_FILES) as pool:
        described = list(pool.map(lambda name: _described(fs, name, fs.unstrip_protocol(name)), found))
    names = [name.removeprefix(prefix) for name in found]
    files = dict(zip(map(unquote, names) if is_http else names, described, strict=True))
    if not files:
        raise FileNotFoundError(url)
    if wrong := [name for name in files if ".." in name.split("/") or name.startswith("/")]:
        raise OSError(f"{wrong[0]!r} in it is no name for a file in a folder")
    return files, True


def _described(fs: AbstractFileSystem, place: str, url: str) -> _RemoteFile:
    info: Mapping[str, Any] = fs.info(place)
    return _RemoteFile(url=url, place=place, fs=fs, size_bytes=info.get("size"), version=storage.stated_version(info))


def _fetched(files: list[_RemoteFile], folder: Path, say: Say) -> list[Path]:
    """The copies of all files, in their order; the first failure, or Ctrl-C, stops the other fetches."""
    stopped = threading.Event()
    with ThreadPoolExecutor(_PARALLEL_FILES) as pool:
        try:
            return list(pool.map(lambda file: _fetch(file, folder, say, stopped), files))
        except BaseException:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch(file: _RemoteFile, folder: Path, say: Say, stopped: threading.Event) -> Path:
    copy = folder / file.key
    with _alone(copy.with_suffix(".lock")):
        if not copy.exists():
            part = copy.with_suffix(".part")
            _require_space(file, part)
            _go_on(file, part, say, stopped)
            if file.size_bytes is not None and part.stat().st_size != file.size_bytes:
                short = part.stat().st_size
                raise OSError(f"{file}: {short} of its {file.size_bytes} bytes came: call again to go on")
            with storage.as_os_error(file.url):
                now = _described(file.fs, file.place, file.url).version
            if now != file.version:
                part.unlink()
                raise OSError(f"{file}: changed while it was fetched: call again")
            os.replace(part, copy)
    return copy


def _go_on(file: _RemoteFile, part: Path, say: Say, stopped: threading.Event) -> None:
    """Fetches what a part file lacks, or all of it from a store that can't begin in the middle."""
    had = part.stat().st_size if part.exists() else 0
    if file.size_bytes is not None and had > file.size_bytes:
        had = 0
    told_s = time.monotonic()
    say(f"fetching {file}{_progress(had, file.size_bytes)}")
    with storage.as_os_error(str(file)):
        start, blocks = (_http_blocks if file.is_http else _blocks)(file, had)
    with part.open("r+b" if start else "wb") as target:
        target.truncate(start)
        target.seek(start)
        while block := _next(blocks, file):
            target.write(block)
            if stopped.is_set():
                raise OSError(f"{file}: the fetch was stopped: call again to go on")
            if time.monotonic() - told_s > _TOLD_EVERY_S:
                told_s = time.monotonic()
                say(f"fetching {file}{_progress(target.tell(), file.size_bytes)}")
        target.flush()
        os.fsync(target.fileno())


def _next(blocks: Iterator[bytes], file: _RemoteFile) -> bytes:
    with storage.as_os_error(str(file)):
        return next(blocks, b"")


def _blocks(file: _RemoteFile, start: int) -> tuple[int, Iterator[bytes]]:
    def read() -> Iterator[bytes]:
        with file.fs.open(file.place, "rb", cache_type="none") as opened:
            opened.seek(start)
            while block := opened.read(_BLOCK_BYTES):
                yield block

    return start, read()


def _http_blocks(file: _RemoteFile, start: int) -> tuple[int, Iterator[bytes]]:
    """One streamed answer; where it begins is the server's choice, since not all know ranges."""
    request = urllib.request.Request(file.url, headers={"Accept-Encoding": "identity"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        answer = urllib.request.urlopen(request, timeout=_CONNECT_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # nothing left beyond `start`
            raise
        return start, iter(())

    def read() -> Iterator[bytes]:
        with answer:
            while block := answer.read(1 << 20):
                yield block

    return (start if answer.status == 206 else 0), read()


def _require_space(file: _RemoteFile, part: Path) -> None:
    missing_bytes = (file.size_bytes or 0) - (part.stat().st_size if part.exists() else 0)
    free_bytes = shutil.disk_usage(part.parent).free
    if missing_bytes > free_bytes:
        raise OSError(
            f"{file}: needs {missing_bytes / 1e9:.1f} GB and {part.parent} has {free_bytes / 1e9:.1f} GB free: "
            "make room, or choose another disk with XDG_CACHE_HOME"
        )


def _verify(location: str, copy: Path, sha256: str) -> None:
    with copy.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256.lower():
        copy.unlink()
        raise OSError(f"{location}: SHA-256 is {found}, expected {sha256}: the copy is removed, check the URL")


def _named(copies: Mapping[str, Path], folder: Path) -> Path:
    """A folder that holds links to the copies under their names; the same folder for the same copies."""
    listing = "\n".join(f"{name} {copy.name}" for name, copy in sorted(copies.items()))
    named = folder / hashlib.sha256(listing.encode()).hexdigest()[:32]
    if named.is_dir():
        return named
    draft = Path(tempfile.mkdtemp(prefix=".", dir=folder))
    for name, copy in copies.items():
        (draft / name).parent.mkdir(parents=True, exist_ok=True)
        (draft / name).symlink_to(copy)
    try:
        draft.rename(named)
    except OSError:  # another process was first
        shutil.rmtree(draft)
    return named


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Lets one thread of this machine's processes at a time into the block; a dead one's lock is free."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _progress(done_bytes: int, size_bytes: int | None) -> str:
    if size_bytes is None:
        return f": {done_bytes / 1e6:,.0f} MB" if done_bytes else ""
    return f": {done_bytes / 1e6:,.0f} of {size_bytes / 1e6:,.0f} MB"
