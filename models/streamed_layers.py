"""Layers that run one after the other and whose weights are elsewhere: two places on the device are enough.

While a layer computes in one place, the next one's weights are on their way into the other. Which layer is next is
what came next the last time, so any order works and a change of order costs one copy that isn't hidden. Apart from
where its weights are, a layer does what it did: results are the same bit for bit.

Assumes that a layer's weights are only used by its own forward, except for children named in `staying`, which stay on
the device.
"""

from collections.abc import Callable, Collection, Sequence
from functools import partial

import torch
from torch import nn

from airshower.models.host_weights import Carrier, Mover, PackedWeights, Wait, host_weights

PLACES = 2


class StreamedLayers:
    """Owns the weights of some layers, which have been packed; what else their model has is on the carrier's device."""

    def __init__(self, layers: Sequence[nn.Module], packed: Sequence[PackedWeights], carrier: Carrier) -> None:
        with torch.inference_mode(False):  # places are also written outside of it
            largest_bytes = max(weights.size_bytes for weights in packed)
            self._places = [carrier.place(largest_bytes) for _ in range(PLACES)]
            self._views = [[weights.views(place) for place in self._places] for weights in packed]
        self._packed = packed
        self._carrier = carrier
        self._held: list[int | None] = [None] * PLACES  # layer by place
        self._waits: list[Wait] = [_nothing] * PLACES
        self._following = {number: (number + 1) % len(layers) for number in range(len(layers))}
        self._last: int | None = None
        for number, (weights, layer) in enumerate(zip(packed, layers, strict=True)):
            weights.rest()
            layer.register_forward_pre_hook(_as_hook(partial(self._enter, number)))
            layer.register_forward_hook(_as_hook(weights.rest), always_call=True)

    def _enter(self, number: int) -> None:
        if self._last is not None:
            self._following[self._last] = number
        self._last = number
        place = self._bring(number, beside=None)
        self._waits[place]()
        self._packed[number].use(self._views[number][place])
        self._bring(self._following[number], beside=place)

    def _bring(self, number: int, *, beside: int | None) -> int:
        """The place that holds a layer or will; `beside` is the one that must stay as it is."""
        if number in self._held:
            return self._held.index(number)
        place = 0 if beside is None else 1 - beside
        weights = self._packed[number]
        self._waits[place] = self._carrier.start(self._places[place][: weights.size_bytes], weights.source)
        self._held[place] = number
        return place


def stream_from_host(
    model: nn.Module, layers: Sequence[nn.Module], mover: Mover, staying: Collection[str] = ()
) -> StreamedLayers:
    """The layers' weights wait in host memory from now on; the rest of the model is on the mover's device."""
    with torch.inference_mode(False):
        packed = [host_weights(layer, mover, staying) for layer in layers]
        model.to(mover.device)
    return StreamedLayers(layers, packed, mover)


def _as_hook(action: Callable[[], None]) -> Callable[..., None]:
    """A module hook that needs none of what hooks are told."""
    return lambda *_: action()


def _nothing() -> None:
    pass
