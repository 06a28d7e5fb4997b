"""Exporting a run: its committed clips become shards of a dataset, those that it doesn't hold yet in new ones.

Clips come in the order of their keys, which are hashes, so that a shard holds a mixture. The files of a shard are built
on this machine first, then its plan is settled, then they are put, each whole: what a killed export leaves behind is
finished by the next one.
"""

import hashlib
import logging
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from airshower.cluster.store import Store
from airshower.configs.export_records import ExportSettings, PlannedClip, ShardDone, ShardPlan
from airshower.pipelines.export.clips import Clip, ExportError, load_clip
from airshower.pipelines.export.dataset_format import Before, DatasetWriter
from airshower.pipelines.export.lerobot import LeRobotWriter
from airshower.pipelines.export.offered import CAMERAS, Offered, offered
from airshower.pipelines.export.parquet import ParquetWriter
from airshower.pipelines.export.shard_book import ShardBook
from airshower.pipelines.export.webdataset import WebDatasetWriter
from airshower.pipelines.ledger.ledger import Ledger
from airshower.pipelines.ledger.reading import Tell

_log = logging.getLogger(__name__)

_READERS = 4  # threads; they wait for storage
_AHEAD = 8  # clips that are read before they are needed


@dataclass(frozen=True, kw_only=True)
class ExportSummary:
    """What an export has done."""

    added: int  # clips
    kept: int  # that were there
    shards: int  # in all


def export(
    ledger: Ledger,
    destination: Store,
    settings: ExportSettings,
    *,
    select: str = "*",
    on_clips: Callable[[int, int], None] | None = None,
    tell: Tell = _log.warning,
) -> ExportSummary:
    """Adds the clips of a run, of which names match the pattern `select`, to the dataset at `destination`.

    `on_clips` hears after each shard how many clips the dataset has, and how many it will have. Raises ExportError for
    a run or a folder that doesn't fit, LedgerError, and OSError where storage refuses.
    """
    ready = offered(ledger, settings, tell)
    chosen = [clip for clip in ready.values() if fnmatchcase(clip.name, select)]
    if not chosen:
        what = "has no clip yet: generate some" if not ready else f"has no clip named {select}: fix --select"
        raise ExportError(f"{ledger.store.location} {what}")
    chosen = _exportable(chosen, settings, tell)
    book = ShardBook(destination, settings)
    book.require()
    plans = list(book.plans())
    planned = {clip.key for plan in plans for clip in plan.clips}
    if gone := planned - ready.keys():
        raise ExportError(
            f"{destination.location}: holds {len(gone)} clips that {ledger.store.location} doesn't have, or has made "
            "anew since: export to another folder"
        )
    kinds = plans[0].kinds if plans else _kinds(chosen, settings, tell)
    work = _Export(ledger=ledger, settings=settings, book=book, ready=ready, kinds=kinds)
    for plan in plans:
        work.go_on(plan)
    missing = _in_order((clip for clip in chosen if clip.key not in planned), settings)
    while missing:
        group = _first_shard(missing, settings)
        plan = work.add(group)
        theirs = {clip.key for clip in plan.clips}  # of another export, where that was first
        missing = [clip for clip in missing if clip.key not in theirs]
        if on_clips:
            on_clips(work.before.clips, work.before.clips + len(missing))
    work.describe()
    return ExportSummary(added=work.added, kept=work.before.clips - work.added, shards=work.before.shards)


def _exportable(clips: list[Offered], settings: ExportSettings, tell: Tell) -> list[Offered]:
    """The clips without those that the format can't hold, which are counted; raises ExportError where none is left."""
    if settings.dataset != "lerobot":
        return clips
    videos = [clip for clip in clips if clip.frames > 1]
    if not videos:
        raise ExportError("all clips are images, and LeRobot's are videos: export to webdataset or parquet")
    if images := len(clips) - len(videos):
        tell(f"{images} of {len(clips)} clips are images and left out: LeRobot's clips are videos")
    return videos


def _kinds(clips: Sequence[Offered], settings: ExportSettings, tell: Tell) -> tuple[str, ...] | None:
    """What is exported beside videos, where all clips of a dataset must have the same: the pictures that they all have.

    Cameras are not left out unasked.
    """
    if settings.dataset != "lerobot":
        return None
    common = {CAMERAS}.union(frozenset(clips[0].kinds).intersection(*(clip.kinds for clip in clips)))
    if rest := {kind for clip in clips for kind in clip.kinds} - common:
        all_of = "clips of a LeRobot dataset all have the same videos"
        tell(f"left out, since {all_of} and some of these have none: {', '.join(sorted(rest))}")
    return tuple(sorted(common))


def _in_order(clips: Iterable[Offered], settings: ExportSettings) -> list[Offered]:
    """By key; in a WebDataset clips with the same files together, those with most files first: some readers take a
    dataset's columns from its first clips.
    """
    if settings.dataset != "webdataset":
        return list(clips)
    return sorted(clips, key=lambda clip: (-len(clip.pictures), clip.pictures, clip.key))


def _first_shard(clips: Sequence[Offered], settings: ExportSettings) -> list[Offered]:
    """The clips that the next shard takes: at least one."""
    taken, size_bytes = [clips[0]], clips[0].size_bytes
    for clip in clips[1:]:
        size_bytes += clip.size_bytes
        differs = settings.dataset == "webdataset" and clip.pictures != clips[0].pictures
        if differs or size_bytes > settings.shard_mib * 2**20:
            break
        taken.append(clip)
    return taken


@dataclass
class _Export:
    """An export at work; `before` grows with its shards, `added` with the clips of those that it has written."""

    ledger: Ledger
    settings: ExportSettings
    book: ShardBook
    ready: Mapping[str, Offered]
    kinds: tuple[str, ...] | None
    before: Before = field(default_factory=Before)
    added: int = 0

    def __post_init__(self) -> None:
        self._writer = _writer(self.settings)
        self._done = self.book.done_numbers()

    def go_on(self, plan: ShardPlan) -> None:
        """Finishes a planned shard, unless it is, and goes past it."""
        if plan.number not in self._done:
            self._write(plan)
        self._pass(plan)

    def add(self, clips: Sequence[Offered]) -> ShardPlan:
        """Makes the next shard of clips; returns the plan that counts, which may be that of another export."""
        number = self.before.shards
        with tempfile.TemporaryDirectory(prefix="airshower-") as folder:
            planned, about = self._build(clips, Path(folder))
            self.book.refuse_taken(number, _files_of(Path(folder)))
            plan = self.book.plan(number, planned, self.kinds)
            if plan.clips == planned and plan.kinds == self.kinds:
                self._put(plan, Path(folder), about)
            else:
                self._write(plan)
        self._pass(plan)
        return plan

    def describe(self) -> None:
        """Writes what describes all shards."""
        shards = [self.book.done(number) for number in sorted(self.book.done_numbers())]
        self.book.describe(self._writer.dataset_files(shards, self.before))

    def _write(self, plan: ShardPlan) -> None:
        self.kinds = plan.kinds
        with tempfile.TemporaryDirectory(prefix="airshower-") as folder:
            _, about = self._build([replace(self.ready[clip.key], name=clip.name) for clip in plan.clips], Path(folder))
            self._put(plan, Path(folder), about)

    def _build(self, clips: Sequence[Offered], place: Path) -> tuple[tuple[PlannedClip, ...], dict[str, Any]]:
        planned: list[PlannedClip] = []

        def passing() -> Iterator[Clip]:
            for clip in self._loaded(clips):
                planned.append(PlannedClip(key=clip.key, name=clip.name, frames=clip.frames, caption=clip.caption))
                yield clip

        about = self._writer.write_shard(passing(), self.before, place)
        return tuple(planned), about

    def _loaded(self, clips: Iterable[Offered]) -> Iterator[Clip]:
        waiting: deque[Future[Clip]] = deque()
        with ThreadPoolExecutor(_READERS) as pool:
            for clip in clips:
                waiting.append(pool.submit(load_clip, self.ledger, clip, self.settings, self.kinds))
                if len(waiting) == _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _put(self, plan: ShardPlan, place: Path, about: dict[str, Any]) -> None:
        hashes = {}
        for name, path in _files_of(place).items():
            with path.open("rb") as file:
                hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()
            self.book.put(name, path, hashes[name])
        self.book.finish(ShardDone(number=plan.number, nonce=plan.nonce, files=hashes, about=about))
        self.added += len(plan.clips)

    def _pass(self, plan: ShardPlan) -> None:
        captions = self.before.captions
        for clip in plan.clips:
            captions.setdefault(clip.caption, len(captions))
        self.before = replace(
            self.before,
            shards=self.before.shards + 1,
            clips=self.before.clips + len(plan.clips),
            frames=self.before.frames + sum(clip.frames for clip in plan.clips),
            first=self.before.first if self.before.shards else self.book.done(0).about,
        )


def _files_of(place: Path) -> dict[str, Path]:
    """The files of a shard by their names in the dataset; what names others comes last."""
    paths = {path.relative_to(place).as_posix(): path for path in place.rglob("*") if path.is_file()}
    return {name: paths[name] for name in sorted(paths, key=lambda name: (name.startswith("meta/"), name))}


def _writer(settings: ExportSettings) -> DatasetWriter:
    if settings.dataset == "webdataset":
        return WebDatasetWriter()
    if settings.dataset == "lerobot":
        return LeRobotWriter()
    return ParquetWriter(embed=settings.embed)
