"""What commands that take rows say of them: SPECS, and how many of their rows."""

from typing import Annotated

import typer

Specs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SPECS",
        help="Rows: JSON, JSONL, CSV or Parquet files or folders of them, as paths or URLs; - reads standard input, "
        "JSON, JSONL or CSV, with paths seen from here. Without SPECS the flags below are one row: its files, its "
        "prompt, its controls.",
        show_default=False,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", min=1, metavar="N", help="The first N rows alone; default: all", show_default=False),
]
