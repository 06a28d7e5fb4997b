"""The stages of batch generation as Ray Data sees them: one parcel of rows in, one out, never an exception.

An error is data: a stage that fails puts it into the row, and later stages pass such rows through; one that may pass
by itself, of a network or of storage, is waited out for a while first. Two faults are no row's data: a replica whose
GPU context is broken ends its process, so that Ray restarts it and retries its rows, and a row that ended its worker
several times is failed instead of tried again. No stage keeps a payload longer than it is needed.
"""

import errno
import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from airshower.actors.device_fault import is_device_fault
from airshower.actors.row_texts import row_texts
from airshower.cluster.backoff import is_transient, retrying
from airshower.cluster.service_errors import causes
from airshower.cluster.tracing import with_stage_span
from airshower.configs.messages import PreparedClip, PreparedViews, Row, TextEmbedding
from airshower.configs.row_formats import AnySpec
from airshower.pipelines.dispatch.dispatcher import Standing
from airshower.pipelines.dispatch.handle import Dispatch
from airshower.pipelines.dispatch.parcels import packed, unpacked
from airshower.pipelines.dispatch.queue import MOST_DEATHS
from airshower.pipelines.events import RowWarned, StageFinished
from airshower.pipelines.loading import load_patiently
from airshower.pipelines.unchanged_inputs import InputChangedError, require_unchanged_inputs

if TYPE_CHECKING:
    from airshower.pipelines.annotate import AnnotatorLike

_TRIES = 4  # of work that a network or storage refuses

_log = logging.getLogger(__name__)

Warn = Callable[[str], None]  # tells the user what no row fails of


class WorkerLostError(RuntimeError):
    """Working on a row ended its worker process again and again."""


class PostponedError(RuntimeError):
    """A row was not begun, or stopped between two chunks: its node is about to leave, or the run is about to end."""


class TextEncoderLike(Protocol):
    """What the text stage needs of `airshower.actors.text_encoder.TextEncoder`."""

    def encode(self, prompt: str, controls: Sequence[str]) -> TextEmbedding: ...


def prepare_stage(
    table: pa.Table, *, prepare: Callable[[AnySpec], PreparedClip | PreparedViews], dispatch: Dispatch
) -> pa.Table:
    """Decodes and checks inputs, computes missing controls: adds `prepared`, of the files that the row's key names."""

    def work(row: Row) -> Row:
        prepared = prepare(spec_of(row))
        require_unchanged_inputs(row)
        if prepared.warnings:
            dispatch.report(RowWarned(index=row.index, name=row.name, message="; ".join(prepared.warnings)))
        return replace(row, prepared=prepared)

    return packed(worked("prepare", unpacked(table), work, dispatch))


class AnnotateStage:
    """Holds the annotators: adds to `prepared` what rows leave to them; other rows pass untouched and untimed."""

    def __init__(self, load: "Callable[[], AnnotatorLike]", dispatch: Dispatch) -> None:
        self._annotator, self._dispatch = load_patiently("annotators", load, dispatch), dispatch

    def __call__(self, table: pa.Table) -> pa.Table:
        rows = unpacked(table)
        asking = [row for row in rows if row.spec is not None and row.spec.needs_annotator]
        done = {row.index: row for row in worked("annotate", asking, self._annotate, self._dispatch)}
        return packed([done.get(row.index, row) for row in rows])

    def _annotate(self, row: Row) -> Row:
        from airshower.pipelines.annotate import annotate_row  # loads torch, which not every stage needs

        return annotate_row(row, self._annotator)


class TextStage:
    """Holds one text encoder: adds the embeddings of the prompt and of the negative prompt."""

    def __init__(self, load: Callable[[Warn], TextEncoderLike], dispatch: Dispatch) -> None:
        self._encoder = load_patiently("text encoder", lambda: load(dispatch.warn), dispatch)
        self._dispatch = dispatch

    def __call__(self, table: pa.Table) -> pa.Table:
        return packed(worked("text", unpacked(table), self._encode, self._dispatch))

    def _encode(self, row: Row) -> Row:
        return with_texts(row, self._encoder)


def with_texts(row: Row, encoder: TextEncoderLike) -> Row:
    """With the embeddings of its prompt and of its negative prompt."""
    text, negative_text = row_texts(spec_of(row), row.prompt, encoder.encode)
    return replace(row, text=text, negative_text=negative_text)


def worked(stage: str, rows: Sequence[Row], work: Callable[[Row], Row], dispatch: Dispatch) -> list[Row]:
    """The rows of a parcel after a stage, whose process works on nothing else meanwhile."""
    able = [row for row in rows if row.error is None]
    if not able:
        return list(rows)
    standing = dispatch.begin([row.index for row in able], stage, alone=len(able) == 1)
    done = []
    for row in rows:
        deaths = standing.deaths.get(row.index, 0)
        if deaths and len(able) > 1:
            dispatch.begin([row.index], stage, alone=True)  # should it be the cause, the next time knows
        done.append(isolated(stage, row, work, dispatch, standing, deaths))
    if len(done) == 1:  # those of a longer parcel are short, and told of when they end
        tell_finished(stage, done[0], dispatch)
    return done


def isolated(
    stage: str, row: Row, work: Callable[[Row], Row], dispatch: Dispatch, standing: Standing, deaths: int
) -> Row:
    """`work(row)` with its time, or the row with the error of this stage as data; rows with an error pass untouched."""
    if row.error is not None:
        return row
    begun_ns, begun_s = time.time_ns(), time.perf_counter()
    try:
        if standing.elsewhere:
            raise PostponedError(f"{row.name}: not begun in {stage}: its node leaves or the run ends")
        if deaths >= MOST_DEATHS:
            raise WorkerLostError(
                f"{row.name}: {stage} ended its worker process {MOST_DEATHS} times (out of memory, or a crash in a "
                "native library): try a smaller resolution or fewer frames, and see Ray's worker logs"
            )
        done = retrying(partial(work, row), f"{row.name} in {stage}", attempts=_TRIES, on_wait=dispatch.warn)
    except Exception as error:  # noqa: BLE001 -- whatever a row raises is its data; raising would end the whole run
        if is_device_fault(error):
            _log.error("replica is broken and ends its process: %s", error)
            os._exit(1)  # Ray restarts the actor and retries the row; an exception would count as the row's fault
        done = row.failed(stage, error, transient=_is_nobodys_fault(stage, error))
    seconds = time.perf_counter() - begun_s
    timed = replace(done, seconds={**done.seconds, stage: seconds})
    return with_stage_span(row, timed, stage, begun_ns=begun_ns, attempt=deaths + 1)


def _is_nobodys_fault(stage: str, error: Exception) -> bool:
    """Whether the row may well be made another time: what can't be written is a matter of the storage, a full disk or
    a bucket that is gone. That a file system has no names as long is a matter of the row.
    """
    if isinstance(error, PostponedError | InputChangedError) or is_transient(error):
        return True
    reasons = [cause for cause in causes(error) if isinstance(cause, OSError)]
    return stage == "write" and bool(reasons) and all(cause.errno != errno.ENAMETOOLONG for cause in reasons)


def tell_finished(stage: str, row: Row, dispatch: Dispatch) -> None:
    """That a row went through a stage, if it did."""
    if row.error is None:
        dispatch.report(StageFinished(index=row.index, name=row.name, stage=stage, seconds=row.seconds.get(stage, 0.0)))


def spec_of(row: Row) -> AnySpec:
    """The row's spec, which every row on its way has."""
    if row.spec is None:
        raise ValueError(f"row {row.name}: has no spec: rows that can't be read must arrive with their error set")
    return row.spec
