"""`airshower checkpoint`: what a file of weights holds, and whether it is whole."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

checkpoint_app = typer.Typer(help="Files of weights.", no_args_is_help=True)

_SHOWN_PROBLEMS = 20


@checkpoint_app.callback()
def _checkpoint() -> None:
    """Look at files of weights."""


@checkpoint_app.command("inspect")
def inspect(
    path: Annotated[Path, typer.Argument(help="A .pt or .safetensors file, a DCP directory, a diffusers folder")],
    *,
    ema: Annotated[bool, typer.Option("--ema", help="Look at the moving average of a training run's output")] = False,
    lora: Annotated[Path | None, typer.Option(metavar="FILE", help="LoRA file to add to the weights")] = None,
    sha256: Annotated[str | None, typer.Option(metavar="HEX", help="Checksum that the file has to have")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show tracebacks and every problem")] = False,
) -> int:
    """Say which network a checkpoint is for, its size and type, and every weight that doesn't fit; 1 if any."""
    from airshower.models.checkpoints.identify import variant_name
    from airshower.models.checkpoints.load import problems_of, read_checkpoint, verify_checksum

    console = Console(highlight=False, soft_wrap=True)
    if sha256 is not None:
        verify_checksum(path, sha256)
    checkpoint = read_checkpoint(path, ema=ema, lora=lora)
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
