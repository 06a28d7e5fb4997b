"""Whether a row fits a GPU, and what would fit where it doesn't: computed, never tried."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from math import ceil

import torch

from airshower.configs.gang_layout import ALONE, GangLayout
from airshower.configs.offload import OFFLOADS, Offload
from airshower.configs.sizes import SIZES, nearest_size
from airshower.models.memory import GIB, ClipShape, ModelMemory, Need, row_need


class NoRoomError(RuntimeError):
    """A row or a part of the model needs more GPU memory than there is."""


@contextmanager
def loading(part: Offload) -> Iterator[None]:
    """Around the loading of a part: raises NoRoomError, which says how it could be loaded, where the GPU is full."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise NoRoomError(f"{part}: its weights don't fit the GPU: use --offload {part} ({error})") from error


@dataclass(frozen=True, kw_only=True)
class Room:
    """A GPU as a replica finds it, GiB."""

    total_gib: float
    free_gib: float  # for new tensors of the replica

    @classmethod
    def of(cls, device: torch.device) -> "Room":
        """What no process holds, and what PyTorch keeps in this one without a tensor in it."""
        free, total = torch.cuda.mem_get_info(device)
        idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return cls(total_gib=total / GIB, free_gib=(free + idle) / GIB)


def check_room(
    model: ModelMemory,
    shape: ClipShape,
    controls: int,
    offload: Collection[Offload],
    *,
    there_gib: float,
    total_gib: float,
    extra_gib: float = 0.0,
    gang: GangLayout = ALONE,
) -> Need:
    """What a row needs, if it is there; raises NoRoomError, saying what is needed, what is there and what would fit.

    `there_gib` is what the replica can have in all, what it holds already included.
    """
    need = row_need(model, shape, controls, offload, extra_gib, gang)
    if need.room_gib <= there_gib:
        return need
    text_gib = 0.0 if model.text is None else model.text.resident_gib("text" in offload)
    text_is_beside = model.text is not None and total_gib - there_gib >= text_gib

    def fits(tried: ClipShape, offloaded: Collection[Offload]) -> bool:
        freed = 0.0 if model.text is None else text_gib - model.text.resident_gib("text" in offloaded)
        return row_need(model, tried, controls, offloaded, extra_gib, gang).room_gib <= there_gib + freed

    choices = [one for one in offload_choices(text_is_beside or "text" in offload) if set(offload) <= set(one)]
    remedies = [f"--offload {','.join(one)}" for one in choices if fits(shape, one)][:1]
    remedies += [f"--resolution {key}" for key, tried in smaller_shapes(shape) if fits(tried, offload)][:1]
    if not remedies:
        both = [(key, one) for key, tried in smaller_shapes(shape) for one in choices if fits(tried, one)][:1]
        remedies = [f"--resolution {key} with --offload {','.join(one)}" for key, one in both]
    fitting = " or ".join(remedies) + " would fit" if remedies else "no smaller size and no --offload would fit"
    raise NoRoomError(
        f"needs {rounded_up(need.room_gib)} GiB of GPU memory ({shape}), there are {max(there_gib, 0.0):.1f} of "
        f"{total_gib:.1f}: {fitting}"
    )


def offload_choices(text: bool) -> list[tuple[Offload, ...]]:
    """Every set of parts to offload, fewest first; `text` says whether the text encoder can be one of them."""
    able = [part for part in OFFLOADS if part != "text" or text]
    return [chosen for count in range(len(able) + 1) for chosen in combinations(able, count)]


def smaller_shapes(shape: ClipShape) -> list[tuple[str, ClipShape]]:
    """The clip at every resolution key that gives it fewer pixels, largest first."""
    sizes = {key: nearest_size(key, shape.height, shape.width) for key in SIZES}
    smaller = [(key, size) for key, size in sizes.items() if size.height * size.width < shape.height * shape.width]
    smaller.sort(key=lambda one: -one[1].height * one[1].width)
    return [
        (key, ClipShape(frames=shape.frames, height=size.height, width=size.width, views=shape.views))
        for key, size in smaller
    ]


def rounded_up(gib: float) -> float:
    """To a tenth: what is said to be needed is enough."""
    return ceil(gib * 10) / 10
