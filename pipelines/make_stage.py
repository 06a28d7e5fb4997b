"""The stage that makes clips: a replica's process generates a row, encodes its videos and commits them.

The frames of a clip never leave the process, but for the chunks of a long one, which are kept until it is made, so that
another process can go on. Several rows are in it at a time, each in a thread: one has the device, others are unpacked
before it or encoded and written after it, so the device doesn't wait for either. A row that a process died with before
is alone in its next one.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Protocol

import pyarrow as pa

from airshower.actors.checkpoints import Checkpoints
from airshower.cluster.packing import with_held_frames
from airshower.configs.messages import GeneratedClip, PreparedClip, PreparedViews, Row, TextEmbedding
from airshower.configs.row_formats import AnySpec
from airshower.pipelines.dispatch.dispatcher import Standing
from airshower.pipelines.dispatch.handle import Dispatch
from airshower.pipelines.dispatch.parcels import packed, unpacked
from airshower.pipelines.kept_chunks import KeptChunks
from airshower.pipelines.ledger.saved_chunks import SavedChunks
from airshower.pipelines.loading import load_patiently
from airshower.pipelines.manifest import ManifestEntry, entry_of
from airshower.pipelines.stages import TextEncoderLike, Warn, isolated, spec_of, tell_finished, with_texts
from airshower.pipelines.turns import Turns

ROWS_AT_A_TIME = 3  # in a process: one is unpacked, one has the device, one is written


class ReplicaLike(Protocol):
    """What the stage needs of `airshower.actors.replica.Replica`."""

    def generate(
        self,
        spec: AnySpec,
        prepared: PreparedClip | PreparedViews,
        text: TextEmbedding,
        negative_text: TextEmbedding,
        on_progress: Callable[[float], None] | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> GeneratedClip: ...


class Writer(Protocol):
    """What the stage needs of `airshower.pipelines.ledger.committer.Committer`."""

    def made(self, row: Row) -> ManifestEntry | None:
        """The row's entry, where it is made already."""

    def saved_chunks(self, row: Row) -> SavedChunks:
        """What was made of a clip of several chunks."""

    def write(self, row: Row) -> Row:
        """Makes a generated row last; adds its `outputs`."""


class MakeStage:
    """Holds one replica, and a text encoder where rows come without texts; called by several threads."""

    def __init__(
        self,
        load: Callable[[], ReplicaLike],
        writer: Writer,
        dispatch: Dispatch,
        load_text_encoder: Callable[[Warn], TextEncoderLike] | None = None,
    ) -> None:
        self._encoder: TextEncoderLike | None = None
        if load_text_encoder is not None:
            self._encoder = load_patiently("text encoder", lambda: load_text_encoder(dispatch.warn), dispatch)
        self._replica = load_patiently("replica", load, dispatch)
        self._writer, self._dispatch = writer, dispatch
        self._turns, self._kept = Turns(), KeptChunks(dispatch)

    def __call__(self, table: pa.Table) -> pa.Table:
        rows = unpacked(table)
        able = [row.index for row in rows if row.error is None]
        standing = self._dispatch.begin(able, "generate") if able else Standing(deaths={}, elsewhere=False)
        heard = self._dispatch if len(rows) == 1 else Dispatch()  # short rows are told of when they end
        return packed([self._entry(row, standing, heard) for row in rows])

    def _entry(self, row: Row, standing: Standing, heard: Dispatch) -> ManifestEntry:
        deaths = standing.deaths.get(row.index, 0)
        if not deaths:
            with self._turns.beside_others():
                return self._made(row, standing, heard, deaths)
        with self._turns.alone():
            self._dispatch.begin([row.index], "generate", alone=True)
            # The last process may have made it before it died.
            return self._writer.made(row) or self._made(row, standing, heard, deaths)

    def _made(self, row: Row, standing: Standing, heard: Dispatch, deaths: int) -> ManifestEntry:
        row = _unpacked(row)
        kept = self._kept.of(row.name, self._writer.saved_chunks(row))
        generate = partial(self._generate, heard=heard, kept=kept)
        with self._turns.device:
            if self._encoder is not None:
                encode = partial(with_texts, encoder=self._encoder)
                row = isolated("text", row, encode, self._dispatch, standing, deaths)
                tell_finished("text", row, heard)
            row = isolated("generate", row, generate, self._dispatch, standing, deaths)
        tell_finished("generate", row, heard)
        row = isolated("write", row, self._writer.write, self._dispatch, standing, 0)
        tell_finished("write", row, heard)
        if row.error is None:
            kept.forget()
        return entry_of(row)

    def _generate(self, row: Row, heard: Dispatch, kept: Checkpoints) -> Row:
        if row.prepared is None or row.text is None or row.negative_text is None:
            raise ValueError(f"row {row.name}: reached generate without inputs and text: this is a bug in the graph")
        generated = self._replica.generate(
            spec_of(row),
            row.prepared,
            row.text,
            row.negative_text,
            on_progress=heard.progress_of(row.index, row.name),
            checkpoints=kept,
        )
        return replace(row, generated=generated, text=None, negative_text=None)


def _unpacked(row: Row) -> Row:
    """Before its turn comes, so that the device doesn't wait for it."""
    if row.error is not None or row.prepared is None:
        return row
    try:
        return replace(row, prepared=with_held_frames(row.prepared))
    except Exception as error:  # noqa: BLE001 -- as in `isolated`; a lack of memory, say
        return row.failed("generate", error)
