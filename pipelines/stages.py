"""The stages of batch generation as Ray Data sees them: one pickled row in, one pickled row out, never an exception.

An error is data: a stage that fails puts it into the row, and later stages pass such rows through; one that may pass
by itself, of a network or of storage, is waited out for a while first. Two faults are no row's data: a replica whose
GPU context is broken ends its process, so that Ray restarts it and retries the row, and a row that ended its worker
several times is failed instead of tried again. No stage keeps a payload longer than it is needed.
"""

import logging
import os
import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

import pyarrow as pa

from airshower.actors.device_fault import is_device_fault
from airshower.actors.row_texts import row_texts
from airshower.cluster.backoff import is_transient, retrying
from airshower.cluster.tracing import with_stage_span
from airshower.configs.messages import GeneratedClip, PreparedClip, PreparedViews, Row, TextEmbedding
from airshower.configs.row_formats import AnySpec
from airshower.pipelines.events import StageFinished
from airshower.pipelines.manifest import entry_of
from airshower.pipelines.monitor import Reporter

if TYPE_CHECKING:
    from airshower.pipelines.annotate import AnnotatorLike

MAX_ATTEMPTS = 3
_TRIES = 4  # of work that a network or storage refuses
_LOAD_ATTEMPTS = 5
_LOAD_RETRY_S = 2.0

_log = logging.getLogger(__name__)

Loaded = TypeVar("Loaded")
Warn = Callable[[str], None]  # tells the user what no row fails of


class LoadError(RuntimeError):
    """A model could not be loaded; every row would fail alike, so the driver ends the run on the first."""


class WorkerLostError(RuntimeError):
    """Working on a row ended its worker process again and again."""


class ReplicaLike(Protocol):
    """What the generate stage needs of `airshower.actors.replica.Replica`."""

    def generate(
        self,
        spec: AnySpec,
        prepared: PreparedClip | PreparedViews,
        text: TextEmbedding,
        negative_text: TextEmbedding,
        on_progress: Callable[[float], None] | None = None,
    ) -> GeneratedClip: ...


class TextEncoderLike(Protocol):
    """What the text stage needs of `airshower.actors.text_encoder.TextEncoder`."""

    def encode(self, prompt: str, controls: Sequence[str]) -> TextEmbedding: ...


def row_table(row: object) -> pa.Table:
    """One row (or manifest entry) as a table of one bytes column; large_binary, because 2 GiB is not enough for all."""
    return pa.table({"row": pa.array([pickle.dumps(row)], pa.large_binary())})


def rows_of(table: pa.Table) -> list:
    """What `row_table` packed, for every row of the table."""
    return [pickle.loads(value.as_buffer()) for value in table.column("row")]


def prepare_stage(
    table: pa.Table, *, prepare: Callable[[AnySpec], PreparedClip | PreparedViews], reporter: Reporter
) -> pa.Table:
    """Decodes and checks inputs, computes missing controls: adds `prepared`."""

    def work(row: Row) -> Row:
        return replace(row, prepared=prepare(_spec(row)))

    (row,) = rows_of(table)
    return row_table(isolated("prepare", row, work, reporter))


class AnnotateStage:
    """Holds the annotators: adds to `prepared` what rows leave to them; other rows pass untouched and untimed."""

    def __init__(self, load: "Callable[[], AnnotatorLike]", reporter: Reporter) -> None:
        self._annotator, self._reporter = load_patiently("annotators", load), reporter

    def __call__(self, table: pa.Table) -> pa.Table:
        (row,) = rows_of(table)
        if not _spec(row).needs_annotator:
            return table
        return row_table(isolated("annotate", row, self._annotate, self._reporter))

    def _annotate(self, row: Row) -> Row:
        if isinstance(self._annotator, LoadError):
            raise self._annotator
        from airshower.pipelines.annotate import annotate_row  # loads torch, which not every stage needs

        return annotate_row(row, self._annotator)


class TextStage:
    """Holds one text encoder: adds the embeddings of the prompt and of the negative prompt."""

    def __init__(self, load: Callable[[Warn], TextEncoderLike], reporter: Reporter) -> None:
        self._encoder, self._reporter = load_patiently("text encoder", lambda: load(reporter.warn)), reporter

    def __call__(self, table: pa.Table) -> pa.Table:
        (row,) = rows_of(table)
        return row_table(isolated("text", row, self._encode, self._reporter))

    def _encode(self, row: Row) -> Row:
        if isinstance(self._encoder, LoadError):
            raise self._encoder
        text, negative_text = row_texts(_spec(row), row.prompt, self._encoder.encode)
        return replace(row, text=text, negative_text=negative_text)


class GenerateStage:
    """Holds one replica: adds `generated`, drops the embeddings."""

    def __init__(self, load: Callable[[], ReplicaLike], reporter: Reporter) -> None:
        self._replica, self._reporter = load_patiently("replica", load), reporter

    def __call__(self, table: pa.Table) -> pa.Table:
        (row,) = rows_of(table)
        return row_table(isolated("generate", row, self._generate, self._reporter))

    def _generate(self, row: Row) -> Row:
        if isinstance(self._replica, LoadError):
            raise self._replica
        if row.prepared is None or row.text is None or row.negative_text is None:
            raise ValueError(f"row {row.name}: reached generate without inputs and text: this is a bug in the graph")
        generated = self._replica.generate(
            _spec(row),
            row.prepared,
            row.text,
            row.negative_text,
            on_progress=self._reporter.progress_of(row.index, row.name),
        )
        return replace(row, generated=generated, text=None, negative_text=None)


def write_stage(table: pa.Table, *, write: Callable[[Row], Row], reporter: Reporter) -> pa.Table:
    """Writes the row's files; what goes on to the driver is its small manifest entry."""
    (row,) = rows_of(table)
    return row_table(entry_of(isolated("write", row, write, reporter)))


def isolated(stage: str, row: Row, work: Callable[[Row], Row], reporter: Reporter) -> Row:
    """`work(row)` with its time, or the row with the error of this stage as data; rows with an error pass untouched."""
    if row.error is not None:
        return row
    begun_ns, begun_s = time.time_ns(), time.perf_counter()
    attempt = reporter.attempt(row.index, stage)
    try:
        if attempt > MAX_ATTEMPTS:
            raise WorkerLostError(
                f"{row.name}: {stage} ended its worker process {MAX_ATTEMPTS} times (out of memory, or a crash in a "
                "native library): try a smaller resolution or fewer frames, and see Ray's worker logs"
            )
        done = retrying(partial(work, row), f"{row.name} in {stage}", attempts=_TRIES, on_wait=reporter.warn)
    except Exception as error:  # noqa: BLE001 -- whatever a row raises is its data; raising would end the whole run
        if is_device_fault(error):
            _log.error("replica is broken and ends its process: %s", error)
            os._exit(1)  # Ray restarts the actor and retries the row; an exception would count as the row's fault
        done = row.failed(stage, error, transient=is_transient(error))
    seconds = time.perf_counter() - begun_s
    if done.error is None:
        reporter.report(StageFinished(index=row.index, name=row.name, stage=stage, seconds=seconds))
    timed = replace(done, seconds={**done.seconds, stage: seconds})
    return with_stage_span(row, timed, stage, begun_ns=begun_ns, attempt=attempt)


def load_patiently(what: str, load: Callable[[], Loaded]) -> Loaded | LoadError:
    """The loaded model, or why it could not be loaded: raising in an actor's constructor would end the whole run.

    RuntimeErrors are retried for some seconds, because a restarted replica may find its GPU still held by the process
    it replaces. Bad files don't heal, so other errors are final.
    """
    for attempt in range(1, _LOAD_ATTEMPTS + 1):
        try:
            return load()
        except RuntimeError as error:
            failure = error
            if attempt < _LOAD_ATTEMPTS:
                time.sleep(_LOAD_RETRY_S)
        except Exception as error:  # noqa: BLE001 -- becomes the one line that the driver raises
            return LoadError(f"{what}: {_one_line(error)}")
    return LoadError(f"{what}: {_one_line(failure)}")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _spec(row: Row) -> AnySpec:
    if row.spec is None:
        raise ValueError(f"row {row.name}: has no spec: rows that can't be read must arrive with their error set")
    return row.spec
