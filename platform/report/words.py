"""A report's figures in words, for the page and for the terminal."""

from airshower.platform.progress import clock_words
from airshower.platform.report.accounts import GpuTime, Report


def span_words(seconds: float) -> str:
    """A length of time at the precision that one reads: 3 ms, 0.42 s, 12 s, 3:07, 2:10:00."""
    if 0 < seconds < 0.1:
        return f"{1000 * seconds:.2g} ms"
    if seconds < 10:
        return f"{seconds:.2f} s" if seconds else "0 s"
    return f"{seconds:.0f} s" if seconds < 100 else clock_words(seconds)


def percent(share: float) -> str:
    return f"{100 * share:.1f} %" if 0 < share < 0.1 else f"{100 * share:.0f} %"


def size_words(size_bytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if size_bytes >= 10 or unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"


def held_words(time: GpuTime) -> str:
    """What was held for how long: 8 x H200: 12.3 GPU-hours."""
    hours = time.held_s / 3600
    if time.gpu is None:
        replicas = f"{time.gpus} replica{'' if time.gpus == 1 else 's'}"
        return f"{replicas} on CPUs for {span_words(time.held_s)} in all"
    return (
        f"{time.gpus} x {time.gpu}: {hours:.1f} GPU-hours"
        if hours >= 1
        else (f"{time.gpus} x {time.gpu}: {span_words(time.held_s)} of GPU time")
    )


def totals(report: Report) -> list[tuple[str, str]]:
    """(name, value) of the first figures to look at."""
    found = [
        ("made", str(report.made)),
        ("failed", str(report.failed)),
        ("worked", span_words(report.wall_s)),
        ("clips per minute", f"{report.clips_per_min:.1f}"),
        ("video", span_words(report.video_s)),
        ("files", size_words(report.written_bytes)),
    ]
    return found + [(f"{time.gpu or 'CPU'} at work", percent(time.busy)) for time in report.gpu_times]


def report_text(report: Report) -> str:
    """The whole in a screen of text."""
    lines = [", ".join(f"{name} {value}" for name, value in totals(report))]
    for time in report.gpu_times:
        parts = "  ".join(f"{part} {percent(seconds / time.held_s)}" for part, seconds in time.seconds.items())
        lines += [held_words(time), f"  {parts}"]
    lines += [
        f"{stage.stage:9} {span_words(stage.seconds):>9} in {stage.rows} rows, median {span_words(stage.p50_s)}, "
        f"95 % below {span_words(stage.p95_s)}"
        for stage in report.stages
    ]
    lines += [f"slow      {row.name}: {span_words(row.seconds)} on {row.node}" for row in report.slowest[:3]]
    lines += [
        f"again     {count} rows in {stage}, whose workers were lost" for stage, count in report.begun_again.items()
    ]
    lines += [
        f"failed    {cause.rows} in {cause.stage} ({cause.type}), such as {cause.names[0]}: {cause.message}"
        for cause in report.causes
    ]
    return "\n".join(lines)
