"""WebDataset: tar archives in which the files of a clip share the name before the first dot.

    shard-000000.tar
        NAME-KEY.json            all that is known of the clip, camera parameters included; objects in it as JSON
        NAME-KEY.txt             its caption
        NAME-KEY.mp4             the video; of several cameras NAME-KEY.<camera>.mp4
        NAME-KEY.edge.mp4, ...   controls, mask_edge.mp4, input.mp4

Archives are POSIX ustar. Owners and times are left out of them, so that the same clips give the same bytes. Clips of a
shard have the same files, and their fields the same types: Hugging Face's `datasets` wants both.
"""

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from airshower.configs.export_records import ShardDone
from airshower.pipelines.camera_tracks import ALONE
from airshower.pipelines.export.clips import Clip
from airshower.pipelines.export.dataset_format import Before


class WebDatasetWriter:
    """One archive per shard; nothing describes them all."""

    def write_shard(self, clips: Iterable[Clip], before: Before, place: Path) -> dict[str, Any]:
        with tarfile.open(place / f"shard-{before.shards:06d}.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
            for clip in clips:
                for ending, data in _members(clip):
                    entry = tarfile.TarInfo(f"{clip.sample}.{ending}")
                    entry.size = len(data)
                    archive.addfile(entry, io.BytesIO(data))
        return {}

    def dataset_files(self, shards: Sequence[ShardDone], total: Before) -> dict[str, bytes]:
        return {}


def _members(clip: Clip) -> Iterator[tuple[str, bytes]]:
    yield "json", _json(_flat(clip)).encode()
    yield "txt", clip.caption.encode()
    for camera, view in clip.views.items():
        yield view.ending if camera == ALONE else f"{camera}.{view.ending}", view.data
    for label, media in clip.beside.items():
        yield f"{label}.{media.ending}", media.data


def _flat(clip: Clip) -> dict[str, Any]:
    """What is known of the clip, each field of one type in all clips: objects as JSON, as a table has them."""
    about = clip.described()
    texts = {name: _json(value) for name, value in about.items() if isinstance(value, dict)}
    given = {name: "" if value is None else value for name, value in about.items()}
    return given | texts | {"fps": float(clip.fps)}


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
