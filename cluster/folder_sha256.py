"""The SHA-256 of a folder's content, computed once and remembered until one of its files changes.

Gigabytes of weights take longer to read than a run may take to start. What is remembered lies in the user's cache,
under what the file system says of every file: name, size, inode and both times, which no change leaves as they are.
"""

import hashlib
import os
import re
from pathlib import Path

from airshower.cluster.user_cache import user_cache_folder


def folder_sha256(folder: Path) -> str:
    """Over names and contents of all files below `folder` that aren't hidden; raises OSError where it can't be read.

    Hidden files don't count because downloads leave their time in them.
    """
    names = sorted(
        file.relative_to(folder)
        for parent, _, files in os.walk(folder, onerror=_raise)
        for file in (Path(parent, name) for name in files)
        if not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )
    if not names:
        raise FileNotFoundError(f"{folder}: there is no file in it")
    memory = Path(user_cache_folder("digests")) / _state(folder, names)
    remembered = _read(memory)
    if remembered is None:
        remembered = _sha256(folder, names)
        _write(memory, remembered)
    return remembered


def _raise(error: OSError) -> None:
    raise error


def _state(folder: Path, names: list[Path]) -> str:
    digest = hashlib.sha256(os.fsencode(folder.absolute()))
    for name in names:
        status = (folder / name).stat()
        numbers = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        digest.update(f"\n{name.as_posix()} {numbers}".encode())
    return digest.hexdigest()


def _sha256(folder: Path, names: list[Path]) -> str:
    digest = hashlib.sha256()
    for name in names:
        with (folder / name).open("rb") as file:
            digest.update(name.as_posix().encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _read(memory: Path) -> str | None:
    try:
        text = memory.read_text()
    except (OSError, ValueError):
        return None
    return text if re.fullmatch("[0-9a-f]{64}", text) else None


def _write(memory: Path, sha256: str) -> None:
    """Remembering may fail: it only saves time."""
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(sha256)
    except OSError:
        pass
