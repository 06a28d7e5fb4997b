"""What a run tells while it goes, for progress displays: plain frozen records.

Every row ends in exactly one `RowDone` or `RowFailed`, unless the run as a whole ends with an exception.
`StageFinished` comes once per row and stage that succeeded, before the row's end. Nothing here waits for anything: a
display that ignores an event loses nothing but its line.
"""

from dataclasses import dataclass

# in order; rows that fail in "read" never enter the first, and only some rows enter "annotate"
STAGES = ("prepare", "annotate", "text", "generate", "write")


@dataclass(frozen=True, kw_only=True)
class Working:
    """On what, before or after rows are made and in words: Ray is started, an evaluation scores the clips."""

    words: str


@dataclass(frozen=True, kw_only=True)
class RunStarted:
    """A run's first event: how many rows there are to make, rows that already failed in reading included."""

    rows: int  # to make
    kept: int = 0  # made by earlier runs
    stages: tuple[str, ...] = STAGES  # those that some row goes through


@dataclass(frozen=True, kw_only=True)
class PoolsStarted:
    """Ray is connected and the replicas are being loaded."""

    replicas: int
    device: str
    gpus: int = 0  # of all replicas


@dataclass(frozen=True, kw_only=True)
class Passed:
    """Some seconds have, while rows are made: who expects something can see by it that it is late."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """When the run will end, as it looks now: seconds from now, and what they lie between 8 times of 10."""

    seconds: float
    low_s: float
    high_s: float


@dataclass(frozen=True, kw_only=True)
class Planned:
    """How the run will go, by its plan; its models are loaded from now on."""

    pools: str  # in words
    end: Expected
    gpu_hours: float


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A replica, text encoder or annotator is ready for rows."""

    loader: str  # tells those of a kind apart
    what: str


@dataclass(frozen=True, kw_only=True)
class LoadFailed:
    """One could not be loaded, and will be tried again."""

    loader: str
    what: str
    message: str
    final: bool  # unless somebody mends it
    again_in_s: float


@dataclass(frozen=True, kw_only=True)
class StageFinished:
    """One row went through one stage."""

    index: int
    name: str
    stage: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class RowProgress:
    """How much of a row's generate stage is done, 0..1; may be rare or missing."""

    index: int
    name: str
    fraction: float


@dataclass(frozen=True, kw_only=True)
class Warned:
    """Something doesn't work as asked, and the rows are made all the same."""

    message: str


@dataclass(frozen=True, kw_only=True)
class RowWarned:
    """A row is made of files that can hardly be meant so; it is made all the same."""

    index: int
    name: str
    message: str


@dataclass(frozen=True, kw_only=True)
class RowDone:
    """A clip is written; `video` is its path in the run folder."""

    index: int
    name: str
    video: str
    seconds: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class RowFailed:
    """A row ended without a clip."""

    index: int
    name: str
    stage: str
    message: str


# What comes from the stages while rows are on their way.
LiveEvent = Loaded | LoadFailed | StageFinished | RowProgress | RowWarned | Warned
Event = Working | RunStarted | Planned | PoolsStarted | Passed | Expected | LiveEvent | RowDone | RowFailed
