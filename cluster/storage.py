"""Files by path or URL: one small set of calls for local paths and for whatever fsspec reaches (s3://, memory://, ...).

A string with "://" is a URL, anything else a local path; `file://` URLs become local paths in `absolute` and `join`.
Every failure is an OSError whose one line names the path, whatever library the protocol uses. Not here: caching on a
node, retries, and atomic commits of results.
"""

import glob
import os
import posixpath
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any
from urllib.parse import unquote

import fsspec
from fsspec.core import url_to_fs

from airshower.cluster.service_errors import in_one_line

_VERSIONS = ("ETag", "etag", "md5Hash", "Content-MD5", "Digest", "LastModified", "Last-Modified", "mtime", "created")


def is_url(path: str) -> bool:
    """Whether `path` names something through a protocol and not on this machine's file system."""
    return "://" in path and not path.startswith("file://")


def absolute(path: str) -> str:
    """`path` in a form that means the same in another process: a URL, or an absolute local path."""
    return join(os.getcwd(), path)


def join(folder: str, path: str) -> str:
    """`path` as seen from `folder`: URLs and absolute paths stay, relative ones are put below the folder."""
    if path.startswith("file://"):
        return _local_path(path)
    if is_url(path) or os.path.isabs(path):
        return path
    if is_url(folder):
        protocol, _, place = folder.partition("://")
        return f"{protocol}://{posixpath.normpath(posixpath.join(place, path))}"
    joined = os.path.join(os.path.abspath(folder), path)
    # ".." after a symbolic link leaves the link's target, as everywhere else on the system
    return os.path.realpath(joined) if ".." in path.split(os.sep) else os.path.normpath(joined)


def _local_path(url: str) -> str:
    """The path that a file:// URL means, as browsers and file managers write it."""
    host, slash, place = url.removeprefix("file://").partition("/")
    if host not in ("", "localhost"):
        raise ValueError(f"{url}: its file would be on a computer called {host}: write file:///PATH, or the path alone")
    return unquote(slash + place)


def parent(path: str) -> str:
    """The folder that holds `path`."""
    if not is_url(path):
        return os.path.dirname(path)
    protocol, _, place = path.partition("://")
    return f"{protocol}://{posixpath.dirname(place.rstrip('/'))}"


def exists(path: str) -> bool:
    """Whether there is a file or folder at `path`; raises OSError where the storage can't be asked."""
    if not is_url(path):
        return os.path.exists(path)
    with as_os_error(path):
        fs, place = url_to_fs(path)
        return bool(fs.exists(place))


def is_folder(path: str) -> bool:
    """Whether there is a folder at `path` (on object storage: whether any key lies below it)."""
    if not is_url(path):
        return os.path.isdir(path)
    with as_os_error(path):
        fs, place = url_to_fs(path)
        return bool(fs.isdir(place))


def size_bytes(path: str) -> int:
    """Size of the file at `path` by one stat call; raises FileNotFoundError, IsADirectoryError or another OSError."""
    with as_os_error(path):
        if not is_url(path):
            status = os.stat(path)
            folder, size = stat.S_ISDIR(status.st_mode), status.st_size
        else:
            fs, place = url_to_fs(path)
            info = fs.info(place)
            folder, size = info["type"] == "directory", int(info["size"])
    if folder:
        raise IsADirectoryError(f"{path} is a folder, not a file")
    return size


def stated_version(info: Mapping[str, Any]) -> str:
    """What a store says of a file's content (ETag, checksum or else a time) and its size; a change shows in it."""
    stated = next((f"{field} {info[field]}" for field in _VERSIONS if info.get(field)), "")
    return f"{stated} {info.get('size')}"


def list_files(folder: str) -> list[str]:
    """The files of a folder, sorted, as full paths; its subfolders are not entered. Raises OSError."""
    return [path for path, is_file in _entries(folder) if is_file]


def list_folders(folder: str) -> list[str]:
    """The folders in a folder, sorted, as full paths; theirs are not entered. Raises OSError."""
    return [path for path, is_file in _entries(folder) if not is_file]


def _entries(folder: str) -> list[tuple[str, bool]]:
    """The files and folders in a folder, sorted: the full path, and whether it is a file."""
    if not is_url(folder):
        with as_os_error(folder), os.scandir(folder) as entries:
            return sorted((one.path, kind == "file") for one in entries if (kind := _kind(one)) is not None)
    with as_os_error(folder):
        fs, place = url_to_fs(folder)
        fs.invalidate_cache(place)  # this process may have listed it before
        # an object store lists a folder's own marker among its entries
        found = [one for one in fs.ls(place, detail=True) if one["name"].rstrip("/") != place.rstrip("/")]
        return sorted((fs.unstrip_protocol(one["name"]), one["type"] == "file") for one in found)


def _kind(entry: "os.DirEntry[str]") -> str | None:
    """file or folder, of what a link leads to; None for what is neither, such as a link in a circle."""
    try:
        return "file" if entry.is_file() else "folder" if entry.is_dir() else None
    except OSError:
        return None


def list_matching(pattern: str) -> list[str]:
    """The files and folders that a pattern with *, ? or [] matches, sorted, as full paths; raises OSError."""
    if not is_url(pattern):
        return sorted(glob.glob(pattern))
    with as_os_error(pattern):
        fs, place = url_to_fs(pattern)
        return sorted(fs.unstrip_protocol(name) for name in fs.glob(place))


@contextmanager
def open_file(path: str, mode: str = "rb") -> Iterator[IO[bytes]]:
    """The file at `path`, opened in a binary mode and closed afterwards; raises OSError."""
    with as_os_error(path):
        file = fsspec.open(path, mode).open() if is_url(path) else open(path, mode)  # noqa: SIM115 - closed below
    with file:
        yield file


def read_bytes(path: str) -> bytes:
    """All bytes of the file at `path`; raises OSError."""
    with open_file(path) as file, as_os_error(path):
        return file.read()


@contextmanager
def as_os_error(path: str) -> Iterator[None]:
    """Names the path in whatever goes wrong: protocols raise errors of their own client libraries."""
    try:
        yield
    except FileNotFoundError as error:
        if is_url(path) and isinstance(error.__cause__, OSError):  # HTTP's client calls every trouble so
            raise OSError(f"{path} can't be reached: {in_one_line(error.__cause__)}") from error
        raise FileNotFoundError(f"{path} does not exist") from None
    except PermissionError:
        raise PermissionError(f"{path} may not be accessed: check its permissions or credentials") from None
    except IsADirectoryError:
        raise IsADirectoryError(f"{path} is a folder, not a file") from None
    except NotADirectoryError:
        raise NotADirectoryError(f"{path} is not in a folder: a part of the path is a file") from None
    except Exception as error:  # the client libraries of the protocols share no base class
        named = OSError(f"{path} can't be reached: {in_one_line(error)}")
        named.errno = getattr(error, "errno", None)
        raise named from error
