"""One trace per row: its context travels in the row, and so do the spans of the stages that it went through.

Ray Data's workers come and go with tasks and are killed at the end of a run, and what they call is no child of the
driver's trace. So no worker exports anything: a stage adds what it did to the row, and the driver, which hears of every
row's end, has the whole trace (`airshower.cluster.trace_export`). What a killed process did with a row is not in it;
the `attempt` of the next span tells of it. A row without `traceparent` gets no spans.
"""

import hashlib
import os
import socket
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass, replace

from airshower.configs.messages import GeneratedClip, PackedFrames, Row, RowError, TextEmbedding
from airshower.configs.spans import Attributes, Span

ROW = "row"  # name of a trace's first span


def traced(row: Row, run: str) -> Row:
    """The row with the context of its trace in a run: the same whoever asks."""
    digest = hashlib.sha256(f"{run}/{row.key or row.index}".encode()).hexdigest()
    return replace(row, traceparent=f"00-{digest[:32]}-{digest[32:48]}-01")


def with_stage_span(before: Row, after: Row, stage: str, *, begun_ns: int, attempt: int) -> Row:
    """What a stage made of a row, with the stage's span and those of the parts of generating, if that was it.

    The stage ends now; `attempt` counts how often this one was begun for the row.
    """
    if not before.traceparent:
        return after
    trace_id, parent_id = _ids(before.traceparent)
    generated = after.generated if before.generated is None else None
    span = Span(
        name=stage,
        trace_id=trace_id,
        span_id=_new_id(),
        parent_id=parent_id,
        begun_ns=begun_ns,
        ended_ns=time.time_ns(),
        attributes={
            "row": before.name,
            "attempt": attempt,
            **_worker(),
            **_work(before, after),
        },
        error=_said(after.error),
    )
    if generated is None:
        return replace(after, spans=(*after.spans, span))
    span = replace(span, attributes={**span.attributes, **_clip_work(generated)})
    return replace(after, spans=(*after.spans, span, *_part_spans(span, generated)))


def row_span(
    row_name: str,
    traceparent: str,
    spans: Sequence[Span],
    attributes: Attributes,
    error: RowError | None = None,
) -> Span:
    """The span of a row's whole way, from its first stage to now; the stages' spans are its children."""
    trace_id, span_id = _ids(traceparent)
    now_ns = max(time.time_ns(), *(span.ended_ns for span in spans), 0)  # machines' clocks differ
    return Span(
        name=ROW,
        trace_id=trace_id,
        span_id=span_id,
        begun_ns=min((span.begun_ns for span in spans), default=now_ns),
        ended_ns=now_ns,
        attributes={"row": row_name, **attributes, **({} if error is None else {"stage": error.stage})},
        error=_said(error),
    )


def payload_bytes(value: object) -> int:
    """Bytes of frames and embeddings that a message holds, at any depth."""
    if isinstance(value, PackedFrames | TextEmbedding):
        return len(value.data)
    if isinstance(value, dict):
        return sum(payload_bytes(item) for item in value.values())
    if is_dataclass(value):
        return sum(payload_bytes(getattr(value, field.name)) for field in fields(value))
    return 0


def _ids(traceparent: str) -> tuple[str, str]:
    _, trace_id, span_id, _ = traceparent.split("-")
    return trace_id, span_id


def _new_id() -> str:
    return uuid.uuid4().hex[:16]


def _said(error: RowError | None) -> str | None:
    return None if error is None else f"{error.type}: {error.message}"


def _worker() -> Attributes:
    return {"host.name": socket.gethostname(), "process.pid": os.getpid()}


def _work(before: Row, after: Row) -> Attributes:
    prepared = after.prepared or before.prepared
    frames = {} if prepared is None else {"frames": prepared.frames}
    return {"bytes_in": payload_bytes(before), "bytes_out": payload_bytes(after), **frames}


def _clip_work(clip: GeneratedClip) -> Attributes:
    flops = {"flops": sum(clip.flops.values())} if clip.flops else {}
    resumed = {"resumed_chunks": clip.resumed_chunks} if clip.resumed_chunks else {}
    return {"chunks": clip.chunks, **resumed, **_gpu(clip), **flops}


def _gpu(clip: GeneratedClip) -> Attributes:
    return {} if clip.gpu is None else {"gpu": clip.gpu, "gpus": clip.gpus}


def _part_spans(stage: Span, clip: GeneratedClip) -> Iterator[Span]:
    """A span for every part of generating; those of one name are numbered as the chunks are."""
    seen: Counter[str] = Counter({part: clip.resumed_chunks for part in clip.seconds if part != "load_s"})
    made_here = clip.chunks - clip.resumed_chunks
    for time_of in clip.parts:
        # the chunks are alike, up to the frames that they start with
        flops = {"flops": clip.flops[time_of.part] / made_here} if time_of.part in clip.flops else {}
        yield Span(
            name=time_of.part.removesuffix("_s"),
            trace_id=stage.trace_id,
            span_id=_new_id(),
            parent_id=stage.span_id,
            begun_ns=time_of.begun_ns,
            ended_ns=time_of.begun_ns + round(time_of.seconds * 1e9),
            attributes={
                "row": stage.attributes["row"],
                "chunk": seen[time_of.part],
                **_worker(),
                **_gpu(clip),
                **flops,
            },
        )
        seen[time_of.part] += 1
