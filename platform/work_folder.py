"""The work folder of a service, which one service at a time may use.

A lock of the system on a file in it, which ends with the process, however that ends: what the file holds means nothing.
Assumes a file system that has such locks; over NFS they hold from version 4 on.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airshower.pipelines.ledger.ledger import LEDGER_HEAD
from airshower.pipelines.own_files import SERVICE_LOCK


class WorkFolderError(OSError):
    """The folder can't be used; the message is one line with its name and the remedy."""


@contextmanager
def work_folder(folder: Path) -> Iterator[Path]:
    """The folder, made if missing, for this process alone; raises WorkFolderError."""
    if (folder / LEDGER_HEAD).exists():
        raise WorkFolderError(f"{folder} is the folder of a run: give another --work-dir")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / SERVICE_LOCK).open("wb")
    except OSError as error:
        raise WorkFolderError(
            f"{folder} can't be used as work folder ({error.strerror}): give another --work-dir"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise WorkFolderError(
                f"{folder} is used by another service: stop that one, or give another --work-dir"
            ) from error
        yield folder
