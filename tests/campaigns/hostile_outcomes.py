"""What is sent in a campaign of hostile files, and what became of it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

_NUMBERS = re.compile(r"[-+]?\d[\d.,e+]*")
_AFTER_PATH = re.compile(r"^[\w.]+: \S+?:? ")


@dataclass(frozen=True, kw_only=True)
class HostileFile:
    """A file that a row names in a field."""

    name: str
    kind: str  # of file
    how: str  # it was spoilt
    field: str
    content: bytes
    frames: int = 8  # of the row


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a file."""

    file: HostileFile
    end: Literal["read", "refused", "crashed", "hung"]
    message: str = ""
    seconds: float = 0.0
    peak_mib: float = 0.0  # more than before
    name: str = ""  # in messages, where it isn't the file's

    @property
    def problem(self) -> str | None:
        """What is wrong with the outcome itself."""
        if self.end in ("crashed", "hung"):
            return f"{self.end}: {self.message}"
        if self.end == "refused" and ("\n" in self.message or (self.name or self.file.name) not in self.message):
            return f"not one line with its name: {self.message!r}"
        return None


def table(outcomes: Sequence[Outcome]) -> str:
    """Outcomes by kind of file and by kind of message, and those that took most."""
    ends = ("read", "refused", "crashed", "hung")
    lines = [f"{'kind':18} {'files':>5} " + " ".join(f"{end:>8}" for end in ends) + "  slowest s  largest MiB"]
    for kind in sorted({outcome.file.kind for outcome in outcomes}):
        lines.append(_line(kind, [outcome for outcome in outcomes if outcome.file.kind == kind], ends))
    lines.append(_line("all", outcomes, ends))
    said: dict[str, int] = {}
    for outcome in outcomes:
        if outcome.end == "refused":
            words = kind_of_message(outcome)
            said[words] = said.get(words, 0) + 1
    lines += ["", "refused with"]
    lines += [f"{count:6} {words}" for words, count in sorted(said.items(), key=lambda item: -item[1])]
    lines += ["", "slowest"] + [_told(one) for one in sorted(outcomes, key=lambda one: -one.seconds)[:5]]
    lines += ["", "largest"] + [_told(one) for one in sorted(outcomes, key=lambda one: -one.peak_mib)[:5]]
    return "\n".join(lines)


def kind_of_message(outcome: Outcome) -> str:
    """A message without what is of the file alone."""
    words = _AFTER_PATH.sub("", outcome.message)
    return _NUMBERS.sub("N", words.partition(outcome.name or outcome.file.name)[2].lstrip(": ") or words)[:110]


def _line(kind: str, outcomes: Sequence[Outcome], ends: Sequence[str]) -> str:
    counts = " ".join(f"{sum(outcome.end == end for outcome in outcomes):8}" for end in ends)
    slowest, largest = max(one.seconds for one in outcomes), max(one.peak_mib for one in outcomes)
    return f"{kind:18} {len(outcomes):5} {counts} {slowest:10.2f} {largest:12.0f}"


def _told(outcome: Outcome) -> str:
    file = outcome.file
    said = outcome.message[:150] or "read"
    return f"  {outcome.seconds:6.2f} s {outcome.peak_mib:6.0f} MiB  {file.name} as {file.field} ({file.how}): {said}"
