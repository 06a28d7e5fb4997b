"""Finished clips under the names that people look for: NAME.mp4 in the run folder, a link to the committed file.

Links show the rows as the last run called them. They are a convenience of local folders: object storage has no links,
and nothing reads them but people.
"""

import os
import uuid
from pathlib import Path, PurePosixPath

from airshower.cluster.store import Store
from airshower.pipelines.manifest import ManifestEntry


def show(store: Store, entry: ManifestEntry) -> None:
    """Links the files of a finished row; raises OSError."""
    folder = store.local_path("")
    if folder is None:
        return
    made_as = PurePosixPath(entry.outputs["record"]).stem  # the row may be called otherwise by now
    for path in set(entry.outputs.values()):
        file = PurePosixPath(path).name
        link = folder / f"{entry.name}{file.removeprefix(made_as)}"
        if not (link.is_symlink() and os.readlink(link) == path):
            _replace(link, path)


def _replace(link: Path, target: str) -> None:
    part = link.with_name(f".{uuid.uuid4().hex}.part")
    try:
        part.symlink_to(target)
        os.replace(part, link)
    finally:
        part.unlink(missing_ok=True)
