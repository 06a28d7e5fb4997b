"""`airshower memory`: what rows need on a GPU and what would fit, without generating anything.

Reads of a row's files the header and the first frame. On the GPU a clip takes what a full chunk of it takes, in host
memory all its frames are at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from airshower.configs.messages import Row
from airshower.configs.multiview_spec import MultiviewSpec
from airshower.configs.offload import Offload
from airshower.configs.presets import PRESETS, ModelPreset, preset
from airshower.configs.row_formats import AnySpec
from airshower.configs.sizes import SIZES, Size
from airshower.configs.spec import ClipSpec
from airshower.platform.clip_flags import overrides_from, with_clip_flags
from airshower.platform.row_flags import Limit, Specs

if TYPE_CHECKING:
    from airshower.models.memory import ClipShape, ModelMemory

_SHOWN_NAMES = 3
_LEAST_GAIN_GIB = 0.05  # less is no reason to offload


@dataclass(frozen=True)
class _Kind:
    """What rows of the same need have in common."""

    shape: "ClipShape"
    controls: int
    styled: bool

    def __str__(self) -> str:
        controls = f"{self.controls} control{'s' if self.controls != 1 else ''}"
        return f"{self.shape}, {controls}{', style image' if self.styled else ''}"


@with_clip_flags
def memory(
    specs: Specs = None,
    *,
    limit: Limit = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Model preset: {', '.join(PRESETS)}; default: the tiny model of the rows' kind",
            show_default=False,
        ),
    ] = None,
    gpu_gib: Annotated[
        float | None,
        typer.Option(
            "--gpu-gib", min=0, metavar="GIB", help="Memory of the GPU; default: that of this machine's first GPU"
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show tracebacks")] = False,
    **clip: Any,  # noqa: ANN401 - one value per clip flag
) -> int:
    """Say what rows need on a GPU, with and without offloading, and what fits; 1 if a row doesn't fit at all.

    Nothing is generated, and no GPU is needed with --gpu-gib. The need is that of a GPU with a replica and the text
    encoder on it.
    """
    from airshower.models.model_memory import memory_without_weights
    from airshower.pipelines.rows import model_of, read_rows

    named = None if model is None else preset(model)
    rows = read_rows(specs or (), overrides=overrides_from(clip), preset=named, limit=limit)
    chosen = named or model_of(rows)
    there_gib = _memory_of_gpu() if gpu_gib is None else gpu_gib
    console = Console(highlight=False, markup=False, soft_wrap=True)
    all_fit = True
    for kind, specs_of_kind in _kinds(rows, chosen, console).items():
        sizes = memory_without_weights(chosen, tuple(specs_of_kind[0].controls))
        table, fits = _table(sizes, kind, there_gib)
        names = [spec.name for spec in specs_of_kind]
        more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
        console.print(f"{chosen.name}: {kind} ({', '.join(names[:_SHOWN_NAMES])}{more})")
        console.print(table)
        host_fits = _print_host(specs_of_kind, console)
        all_fit = all_fit and fits and host_fits
    return 0 if all_fit and all(row.error is None for row in rows) else 1


def _memory_of_gpu() -> float:
    import torch

    if not torch.cuda.is_available():
        raise ValueError("no GPU here: say with --gpu-gib how much memory the GPU has")
    return torch.cuda.get_device_properties(0).total_memory / 2**30


def _kinds(rows: Sequence[Row], model: ModelPreset, console: Console) -> dict[_Kind, list[AnySpec]]:
    """The rows of every kind; those that can't be read are said."""
    kinds: dict[_Kind, list[AnySpec]] = {}
    for row in rows:
        if row.spec is None:
            console.print(f"failed {row.name}: {row.error}")
        else:
            kinds.setdefault(_kind(row.spec, model), []).append(row.spec)
    return kinds


def _kind(spec: AnySpec, model: ModelPreset) -> _Kind:
    from airshower.models.chunks import chunk_length
    from airshower.models.memory import ClipShape
    from airshower.pipelines.prepare import clip_shape

    frames = spec.sampling().chunk_frames
    if isinstance(spec, MultiviewSpec):
        size = SIZES[spec.resolution or ""][spec.aspect_ratio]
        shape = ClipShape(frames=frames, height=size.height, width=size.width, views=len(spec.cameras))
        return _Kind(shape, len(spec.controls), False)
    size, _ = clip_shape(spec)
    frames = chunk_length(spec.max_frames or frames, frames, whole=model.whole_chunks)
    styled = "style-image" in spec.asked_features()
    return _Kind(ClipShape(frames=frames, height=size.height, width=size.width), len(spec.controls), styled)


def _print_host(specs: Sequence[AnySpec], console: Console) -> bool:
    """Says what the frames of the longest clip take in host memory, and returns whether that is allowed here."""
    from airshower.pipelines.decoding.limits import MediaLimits
    from airshower.pipelines.prepare import clip_shape

    longest = max(
        (3 * frames * size.height * size.width, spec.name)
        for spec in specs
        for size, frames in ([clip_shape(spec)] if isinstance(spec, ClipSpec) else [_view_shape(spec)])
    )
    allowed_bytes = MediaLimits().clip_bytes
    fits = longest[0] <= allowed_bytes
    words = "" if fits else ": more than is read: set max_frames, or take a smaller resolution"
    console.print(
        f"  host memory: {longest[0] / 2**30:.1f} GiB for the frames of a file ({longest[1]}), of "
        f"{allowed_bytes / 2**30:.1f} GiB that one may take on this machine{words}"
    )
    return fits


def _view_shape(spec: MultiviewSpec) -> tuple[Size, int]:
    """Size and length of one camera's file."""
    from airshower.pipelines.prepare_views import most_frames

    return SIZES[spec.resolution or ""][spec.aspect_ratio], most_frames(spec)


def _table(sizes: "ModelMemory", kind: _Kind, there_gib: float) -> tuple[Table, bool]:
    """Needs without offloading and with all that lowers them, and whether any of them fits."""
    from airshower.models.memory import STYLE_ENCODER_GIB, gpu_gib, row_need, text_gib
    from airshower.models.room import offload_choices, rounded_up

    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = ("  --offload", "encode", "denoise", "decode", "text encoder", "GPU in all")
    for column in (*columns, f"on {there_gib:g} GiB"):
        table.add_column(column, justify="left" if column == columns[0] else "right", no_wrap=True)
    extra_gib = STYLE_ENCODER_GIB if kind.styled else 0.0
    totals: dict[tuple[Offload, ...], float] = {}
    for offload in offload_choices(sizes.text is not None):
        need = row_need(sizes, kind.shape, kind.controls, offload, extra_gib)
        total = gpu_gib(sizes, need, offload)
        if any(set(other) < set(offload) and total > known - _LEAST_GAIN_GIB for other, known in totals.items()):
            continue  # less offloading does as much
        totals[offload] = total
        parts = (need.encode_gib, need.denoise_gib, need.decode_gib, text_gib(sizes, offload), total)
        words = "fits" if total <= there_gib else "-"
        table.add_row(f"  {','.join(offload) or 'none'}", *(f"{rounded_up(gib):.1f}" for gib in parts), words)
    return table, min(totals.values()) <= there_gib
