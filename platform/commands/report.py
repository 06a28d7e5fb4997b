"""`airshower report`: where a run's time went, in the terminal, as a page and as JSON."""

import dataclasses
import json
from typing import Annotated

import typer


def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run folder, by path or URL", show_default=False)],
    *,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where the page goes; default: report.html in RUN",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON, and write no page")] = False,
) -> None:
    """Say where time and GPU time went, which rows were slowest and why rows failed; the page has plots over time."""
    from airshower.platform.report.page import write_report
    from airshower.platform.report.read import read_report
    from airshower.platform.report.words import report_text

    if as_json and output is not None:
        raise ValueError("--json prints the figures and writes no page: leave --output or --json out")
    if as_json:
        print(json.dumps(dataclasses.asdict(read_report(run)), indent=2))
        return
    found = read_report(run)
    print(report_text(found))
    print(f"report    {write_report(run, found, output)}")
