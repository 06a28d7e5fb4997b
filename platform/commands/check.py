"""`airshower check`: what is wrong with rows, all of it, before anything is started.

Neither Ray nor torch is loaded and nothing is written. Of the rows' files it is known that they are there and that
inputs can be opened; whether all of them decode and go together is found out when a row is prepared.
"""

import json
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from airshower.configs.messages import Row
from airshower.configs.presets import PRESETS, preset
from airshower.platform.clip_flags import overrides_from, with_clip_flags
from airshower.platform.required_parts import ANNOTATORS_HELP, require_annotators
from airshower.platform.row_flags import Limit, Specs

_PANEL = "Check"


@with_clip_flags
def check(
    specs: Specs = None,
    *,
    limit: Limit = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Model preset: {', '.join(PRESETS)}; default: the tiny model of the rows' kind",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = None,
    annotators: Annotated[
        str | None, typer.Option(metavar="DIR|URL", help=ANNOTATORS_HELP, rich_help_panel=_PANEL)
    ] = None,
    headers: Annotated[
        bool,
        typer.Option(
            "--headers/--no-headers",
            help="Open every input video and read its header, or only see that it is there",
            rich_help_panel=_PANEL,
        ),
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout", rich_help_panel=_PANEL)] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show tracebacks", rich_help_panel=_PANEL)] = False,
    **clip: Any,  # noqa: ANN401 - one value per clip flag
) -> int:
    """Look at every row as generate does before it starts, and say all that is wrong: a line per row.

    Exits with 0 if every row is fine, with 1 if any is not, with 2 if the call was wrong.
    """
    named = None if model is None else preset(model)

    from airshower.pipelines.row_headers import with_headers_read
    from airshower.pipelines.rows import model_of, read_rows

    require_annotators(annotators)
    rows = read_rows(
        specs or (),
        overrides=overrides_from(clip),
        preset=named,
        annotators=annotators,
        limit=limit,
        most_faults=None,
    )
    bad = _told(with_headers_read(rows) if headers else rows, as_json=as_json)
    if named is None:
        model_of(rows)
    return 1 if bad else 0


def _told(rows: Iterable[Row], *, as_json: bool) -> int:
    """Prints what is wrong with each row, and how many are fine; returns how many are not."""
    errors = []
    count = 0
    for row in rows:
        count += 1
        if row.error is None:
            continue
        message = row.error.message.removeprefix(f"{row.source} ({row.name}): ")
        errors.append({"index": row.index, "name": row.name, "source": row.source, "message": message})
        if not as_json:
            print(row.error.message)
    if as_json:
        print(json.dumps({"rows": count, "fine": count - len(errors), "errors": errors}, indent=1, ensure_ascii=False))
    else:
        print(f"{count - len(errors)} of {count} row{'s are' if count != 1 else ' is'} fine")
    return len(errors)
