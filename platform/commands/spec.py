"""`airshower spec`: what a row may say, for editors and other programs."""

import json

import typer

from airshower.configs.row_formats import spec_schema

spec_app = typer.Typer(help="The format of a row.", no_args_is_help=True)


@spec_app.callback()
def _spec() -> None:
    """The format of a row."""


@spec_app.command("schema")
def schema() -> None:
    """Print the JSON Schema of a row."""
    print(json.dumps(spec_schema(), indent=2, ensure_ascii=False))
