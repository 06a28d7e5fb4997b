"""Layers that run one after the other with their weights in host memory: two places on the device are enough.

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

from airshower.models.host_weights import HostWeights, Mover, Wait

PLACES = 2


class StreamedLayers:
    """Owns the weights of some layers of a model; the rest of the model is on the mover's device."""

    def __init__(
        self, model: nn.Module, layers: Sequence[nn.Module], mover: Mover, staying: Collection[str] = ()
    ) -> None:
        with torch.inference_mode(False):  # places are also written outside of it
            self._hosts = [HostWeights(layer, mover, staying) for layer in layers]
            model.to(mover.device)
            largest_bytes = max(host.size_bytes for host in self._hosts)
            self._places = [mover.place(largest_bytes) for _ in range(PLACES)]
            self._views = [[host.views(place) for place in self._places] for host in self._hosts]
        self._mover = mover
        self._held: list[int | None] = [None] * PLACES  # layer by place
        self._waits: list[Wait] = [_nothing] * PLACES
        self._following = {number: (number + 1) % len(layers) for number in range(len(layers))}
        self._last: int | None = None
        for number, (host, layer) in enumerate(zip(self._hosts, layers, strict=True)):
            host.rest()
            layer.register_forward_pre_hook(_as_hook(partial(self._enter, number)))
            layer.register_forward_hook(_as_hook(host.rest), always_call=True)

    @property
    def resident_bytes(self) -> int:
        """Of device memory that the layers take."""
        return sum(place.numel() for place in self._places)

    def _enter(self, number: int) -> None:
        if self._last is not None:
            self._following[self._last] = number
        self._last = number
        place = self._bring(number, beside=None)
        self._waits[place]()
        self._hosts[number].use(self._views[number][place])
        self._bring(self._following[number], beside=place)

    def _bring(self, number: int, *, beside: int | None) -> int:
        """The place that holds a layer or will; `beside` is the one that must stay as it is."""
        if number in self._held:
            return self._held.index(number)
        place = 0 if beside is None else 1 - beside
        host = self._hosts[number]
        self._waits[place] = self._mover.start(self._places[place][: host.size_bytes], host.host)
        self._held[place] = number
        return place


def _as_hook(action: Callable[[], None]) -> Callable[..., None]:
    """A module hook that needs none of what hooks are told."""
    return lambda *_: action()


def _nothing() -> None:
    pass
