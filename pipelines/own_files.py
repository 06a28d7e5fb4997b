"""Whose a file is: what a run may replace in its folder is what a run wrote there, and nothing else.

Everything in data/, ledger/ and telemetry/ has a name that nobody else gives. Of the names that people know, NAME.mp4
and its like are links that only we make (`airshower.pipelines.ledger.shown_names`), the manifest says so in its
metadata, and a page ends with a seal, the hash of what stands before it: a page that was changed is its editor's.
"""

import hashlib
import os
import re
import uuid

from airshower.cluster.store import Store

GALLERY_NAME, REPORT_NAME, MANIFEST_NAME = "index.html", "report.html", "manifest.parquet"
_FOLDERS = ("data", "ledger", "telemetry")
ROOT_NAMES = (*_FOLDERS, GALLERY_NAME, REPORT_NAME, MANIFEST_NAME)  # in a run folder, beside the clips'
SERVICE_LOCK = "service.lock"  # in the work folder of a service
_SHOWN = 4  # names in a message

_SEAL = re.compile(rb"<!-- airshower ([0-9a-f]{64}) -->\n\Z")


class InTheWayError(ValueError):
    """Files that a command would replace, and that it didn't write: nothing was made; the message names them."""


class NotOursError(OSError):
    """A file that is to be replaced, and that no run wrote: it is kept; the message names it."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} was not written by a run, or changed since: it is kept: move it away")


def refuse_taken_folder(store: Store) -> None:
    """Raises InTheWayError where a folder that no run has written to holds something of a run folder's names."""
    taken = [f"{folder}/" for folder in _FOLDERS if _is_taken(store, folder)]
    taken += [name for name in ROOT_NAMES[len(_FOLDERS) :] if _is_taken(store, name)]
    if _is_taken(store, SERVICE_LOCK):
        raise InTheWayError(f"{store.location} is the work folder of a service: give another --output")
    if taken:
        raise InTheWayError(
            f"{store.location}: holds {listed(taken)}, which no run wrote and a run would write to: nothing is made: "
            "give another --output"
        )


def _is_taken(store: Store, name: str) -> bool:
    local = store.local_path(name)
    if local is not None:
        return os.path.lexists(local) and not (local.is_dir() and not any(local.iterdir()))
    if any(True for _ in store.names(name)):
        return True
    try:
        store.read(name)
    except FileNotFoundError:
        return False
    return True


def listed(names: list[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - _SHOWN
    return f"{', '.join(names[:_SHOWN])}{f' and {more} more' if more > 0 else ''}"


def write_page(store: Store, name: str, text: str) -> None:
    """Makes or replaces a page; raises NotOursError where the file of its name is none of ours, or was changed."""
    if not may_replace_page(store, name):
        raise NotOursError(store.url(name))
    data = text.encode()
    if not data.endswith(b"\n"):
        data += b"\n"
    store.write(name, data + f"<!-- airshower {hashlib.sha256(data).hexdigest()} -->\n".encode())


def may_replace_page(store: Store, name: str) -> bool:
    """Whether there is no file of this name, or a page as a run wrote it."""
    try:
        data = store.read(name)
    except FileNotFoundError:
        return True
    except OSError:  # a folder, or what may not be read
        if store.local_path(name) is None:
            raise
        return False
    seal = _SEAL.search(data)
    return seal is not None and hashlib.sha256(data[: seal.start()]).hexdigest().encode() == seal[1]


def keep_aside(store: Store, name: str) -> str:
    """Copies a damaged file to where nothing replaces it, since somebody may want it back; returns its path."""
    path = f"ledger/damaged/{name}-{uuid.uuid4().hex}"
    store.write(path, store.read(name))
    return path
