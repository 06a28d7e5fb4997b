"""A span of a row's trace as plain data: it travels with the row, and only the driver sends or writes it.

Names and ids are those of OpenTelemetry: a trace is a row's way through one run, a span one stage of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

Attributes = Mapping[str, str | int | float]


@dataclass(frozen=True, kw_only=True)
class Span:
    """Something that took time, with what is known of it; `error` says why it failed."""

    name: str  # row, a stage, or a part of generating
    trace_id: str  # 32 hexadecimal digits
    span_id: str  # 16 hexadecimal digits
    parent_id: str = ""  # none for the row's own span
    begun_ns: int  # Unix time, by the clock of the machine it ran on
    ended_ns: int
    attributes: Attributes = field(default_factory=dict)
    error: str | None = None

    @property
    def seconds(self) -> float:
        return (self.ended_ns - self.begun_ns) / 1e9
