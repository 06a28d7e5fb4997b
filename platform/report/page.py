"""A run's report as one page: `report.html` beside the gallery, self-contained as that is.

Figures come from `airshower.platform.report.accounts`; here is how they look.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from airshower.cluster import storage
from airshower.cluster.store import open_store
from airshower.pipelines.events import STAGES
from airshower.pipelines.own_files import REPORT_NAME, write_page
from airshower.platform.page_template import page_environment, page_style
from airshower.platform.report.accounts import BINS, Report
from airshower.platform.report.plots import columns, round_top, stack, strip
from airshower.platform.report.words import held_words, percent, span_words, totals

_TEMPLATES = Path(__file__).parent
_SHOWN_REPLICAS = 64
_LABELS = 5  # along the time
_CLIPS_PER_COLUMN = 6  # on average, or the plot shows chance


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A plot with the numbers along its sides."""

    title: str
    shapes: Markup
    top: str
    half: str
    names: tuple[str, ...] = ()  # of what is stacked, as classes of the style sheet


def write_report(run_folder: str, report: Report, output: str | None = None) -> str:
    """Writes the page of a run's report, into its folder or where `output` says, and returns its path.

    Raises OSError when it can't be written, or isn't ours.
    """
    folder = storage.absolute(run_folder)
    path = storage.absolute(output) if output else storage.join(folder, REPORT_NAME)
    beside = "" if output is None else f"{folder.rstrip('/')}/"
    page = render(folder.rstrip("/").rpartition("/")[2], report, gallery=f"{quote(beside, safe='/:')}index.html")
    write_page(open_store(storage.parent(path), probe=False), path.rpartition("/")[2], page)
    return output or path


def render(title: str, report: Report, gallery: str = "index.html") -> str:
    """The page as HTML text; everything that comes from rows is escaped."""
    environment = page_environment(_TEMPLATES)
    environment.filters.update(span=span_words, percent=percent, held=held_words, strip=strip, quote=quote)
    return environment.get_template("report.html").render(
        title=title,
        report=report,
        gallery=gallery,
        totals=totals(report),
        plots=_plots(report),
        times=[span_words(report.wall_s * index / (_LABELS - 1)) for index in range(_LABELS)],
        replicas=report.replicas[:_SHOWN_REPLICAS],
        more_replicas=max(len(report.replicas) - _SHOWN_REPLICAS, 0),
        slow_stages=[stage for stage in STAGES if any(stage in row.stages for row in report.slowest)],
        slowest_s=max((row.seconds for row in report.slowest), default=1.0) or 1.0,
        stages_s=sum(stage.seconds for stage in report.stages) or 1.0,
        style=page_style(_TEMPLATES, "report.css"),
    )


def _plots(report: Report) -> list[Plot]:
    if not report.wall_s:
        return []
    pauses = [place / report.wall_s for place in report.pauses]
    return [*_throughput(report, pauses), *_work(report, pauses)]


def _throughput(report: Report, pauses: Sequence[float]) -> list[Plot]:
    if not any(report.clips_over_time):
        return []
    together = next((few for few in (1, 2, 4) if report.made * few >= _CLIPS_PER_COLUMN * BINS), 8)
    counts = [sum(report.clips_over_time[index : index + together]) for index in range(0, BINS, together)]
    rates = [count * 60 * BINS / together / report.wall_s for count in counts]
    top = round_top(max(rates))
    titles = [
        f"{_when(report, index * together)}: {count} clips, {rate:.3g} a minute"
        for index, (count, rate) in enumerate(zip(counts, rates, strict=True))
    ]
    return [
        Plot(
            title="Clips per minute",
            shapes=columns(rates, top, pauses, titles),
            top=f"{top:g}",
            half=f"{top / 2:g}",
        )
    ]


def _work(report: Report, pauses: Sequence[float]) -> list[Plot]:
    if not report.work_over_time:
        return []
    there = max(sum(values) for values in zip(*report.work_over_time.values(), strict=True))
    top = max(float(len(report.replicas)), there)
    titles = [
        f"{_when(report, index)}: "
        + ", ".join(f"{part} {values[index]:.2f}" for part, values in report.work_over_time.items() if values[index])
        for index in range(BINS)
    ]
    return [
        Plot(
            title="Replicas at work",
            shapes=stack(report.work_over_time, top, pauses, titles),
            top=f"{top:.3g}",
            half=f"{top / 2:.3g}",
            names=tuple(report.work_over_time),
        )
    ]


def _when(report: Report, index: int) -> str:
    return f"after {span_words(report.wall_s * index / BINS)}"
