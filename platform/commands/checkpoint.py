"""`airshower checkpoint`: which weights are published, fetching them, and what a file of weights holds.

`download` prints a path and nothing else, for `$(...)`; its progress goes to stderr.
"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from airshower.cluster import storage
from airshower.configs.presets import PRESETS, PublishedWeights
from airshower.configs.published import PUBLISHED, Published, published

checkpoint_app = typer.Typer(help="Files of weights.", no_args_is_help=True)

_SHOWN_PROBLEMS = 20
_UNWRAPPED_COLUMNS = 1_000  # where nobody looks at a terminal, a row of the table is a line


@checkpoint_app.callback()
def _checkpoint() -> None:
    """Look at files of weights, and fetch published ones."""


@checkpoint_app.command("list")
def list_published(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, an object for each, instead of a table")] = False,
) -> None:
    """List the published weights that airshower checkpoint download knows; they were looked up, not tried."""
    if as_json:
        print(json.dumps([dataclasses.asdict(one) for one in PUBLISHED.values()], indent=2))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("name", no_wrap=True)
    for column in ("network", "repository", "file", "note"):
        table.add_column(column, overflow="fold")
    for one in PUBLISHED.values():
        table.add_row(one.name, one.network or "-", one.repo, _file_words(one), one.note)
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _UNWRAPPED_COLUMNS)
    console.print(table)


def _file_words(one: Published) -> str:
    file = one.path or "whole repository"
    return file if one.revision == "main" else f"{file} at {one.revision}"


@checkpoint_app.command("download")
def download(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Name in airshower checkpoint list, or a model for all that it needs",
            show_default=False,
        ),
    ],
    *,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="DIR", help="Folder to put it in; default: Hugging Face's cache, below HF_HOME"),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show tracebacks")] = False,
) -> None:
    """Fetch published weights from Hugging Face and print where they are; what is there isn't fetched again.

    HF_TOKEN or `hf auth login` says who asks, HF_ENDPOINT whom. What was fetched is checked against its SHA-256.
    """
    parts = _parts_of_model(name)
    if parts and to is None:
        raise ValueError(f"{name}: a model of {len(parts)} parts: say with --to DIR where its folder of weights goes")
    wanted = [published(part) for part in parts or (name,)]

    from airshower.cluster.hub import fetch

    if to is None or not parts:
        print(fetch(wanted[0], to))
        return
    for part in wanted:
        fetch(part, to / part.name)
    print(to)


def _parts_of_model(name: str) -> tuple[str, ...]:
    """What a model preset of that name is made of; empty where the name is no model's."""
    weights = PRESETS[name].weights if name in PRESETS else None
    return weights.names() if isinstance(weights, PublishedWeights) else ()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@checkpoint_app.command("inspect")
def inspect(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH|URL",
            help="A .pt or .safetensors file, a DCP directory, a diffusers folder; what a URL names is fetched once, "
            "and a folder's URL on a web server ends with a slash",
            show_default=False,
        ),
    ],
    *,
    ema: Annotated[bool, typer.Option("--ema", help="Look at the moving average of a training run's output")] = False,
    lora: Annotated[
        str | None, typer.Option(metavar="FILE|URL", help="LoRA file to add to the weights", show_default=False)
    ] = None,
    sha256: Annotated[str | None, typer.Option(metavar="HEX", help="Checksum that the file has to have")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show tracebacks and every problem")] = False,
) -> int:
    """Say which network a checkpoint is for, its size and type, and every weight that doesn't fit; 1 if any."""
    from airshower.cluster.node_cache import local_copy
    from airshower.models.checkpoints.identify import variant_name
    from airshower.models.checkpoints.load import problems_of, read_checkpoint, verify_checksum

    console = Console(highlight=False, soft_wrap=True)
    weights = local_copy(path, sha256=sha256, say=_say)
    if sha256 is not None and not storage.is_url(path):
        verify_checksum(weights, sha256)
    adapters = None if lora is None else local_copy(lora, say=_say)
    checkpoint = read_checkpoint(weights, ema=ema, lora=adapters)
    problems = problems_of(checkpoint)
    sizes = [tensor.elements for tensor in checkpoint.weights.values()]
    types = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in checkpoint.weights.values()})
    console.print(f"network     {variant_name(checkpoint.config)}")
    console.print(f"parameters  {sum(sizes) / 1e6:,.2f} M in {len(sizes)} tensors")
    console.print(f"type        {', '.join(types)}")
    console.print(f"problems    {len(problems) or 'none'}")
    shown = problems if verbose else problems[:_SHOWN_PROBLEMS]
    for problem in shown:
        console.print(f"  {problem}")
    if len(shown) < len(problems):
        console.print(f"  and {len(problems) - len(shown)} more: --verbose lists them")
    return 1 if problems else 0
