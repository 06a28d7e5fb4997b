"""One row's trace as lines of text: its stages below it, their parts below them, each with its begin and its time."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from airshower.configs.spans import Span
from airshower.platform.report.words import size_words, span_words


def trace_lines(spans: Sequence[Span]) -> Iterator[str]:
    """Trace by trace, in order of time; a span whose parent is missing counts as a first one."""
    below: dict[str, list[Span]] = defaultdict(list)
    known = {span.span_id for span in spans}
    for span in sorted(spans, key=lambda span: (span.begun_ns, -span.ended_ns)):
        below[span.parent_id if span.parent_id in known else ""].append(span)
    for first in below[""]:
        yield f"trace {first.trace_id}"
        yield from _lines(first, below, first.begun_ns, depth=0)


def _lines(span: Span, below: dict[str, list[Span]], begun_ns: int, depth: int) -> Iterator[str]:
    name = f"{'  ' * depth}{span.name}"
    after_s = (span.begun_ns - begun_ns) / 1e9
    yield f"{name:20} {span_words(span.seconds):>9}  after {span_words(after_s):>9}  {_said(span)}".rstrip()
    for child in below[span.span_id]:
        yield from _lines(child, below, begun_ns, depth + 1)


def _said(span: Span) -> str:
    facts = span.attributes
    words = []
    if "attempt" in facts:
        words.append(f"on {facts.get('host.name')}")
    if int(facts.get("attempt", 1)) > 1:
        words.append(f"begun {facts['attempt']} times")
    if facts.get("bytes_out"):
        words.append(f"{size_words(float(facts['bytes_out']))} out")
    if "flops" in facts:
        words.append(f"{float(facts['flops']) / 1e12:.3g} TFLOP")
    if span.error is not None:
        words.append(span.error)
    return ", ".join(words)
