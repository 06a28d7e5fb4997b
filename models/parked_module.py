"""A module whose weights are in host memory while it isn't used, and on the device from `bring` to the end of its use.

For modules that are used whole and now and then. Bringing runs beside the computation, so that weights that were
brought early enough cost no time.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from airshower.models.host_weights import Mover, Wait, host_weights


class ParkedModule:
    """Owns a module's weights; its buffers are on the mover's device."""

    def __init__(self, module: nn.Module, mover: Mover) -> None:
        self._host = host_weights(module, mover)
        module.to(mover.device)
        self._host.rest()
        self._mover = mover
        self._coming: tuple[torch.Tensor, Wait] | None = None

    def bring(self) -> None:
        """Starts to copy the weights to the device, unless they are there or on their way."""
        if self._coming is None:
            place = self._mover.place(self._host.size_bytes)
            self._coming = place, self._mover.start(place, self._host.source)

    @contextmanager
    def present(self) -> Iterator[None]:
        """The module can be used inside; afterwards its device memory is free."""
        self.bring()
        assert self._coming is not None
        place, wait = self._coming
        wait()
        self._host.use(self._host.views(place))
        try:
            yield
        finally:
            self._host.rest()
            self._coming = None
