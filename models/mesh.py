"""How the ranks of a gang share one clip, as far as models know: an argument whose default is one device.

Every rank runs the sampler on whole latents, which is cheap and keeps them equal. Within an evaluation of the network
a rank computes its part of the tokens of every latent frame, so that what is per frame or per camera needs no change;
tokens meet in self-attention, where a rank has all tokens of some of the heads. What is not split: text and image,
whose keys are few, and the embedding of time.

Shapes: B batch, N tokens of this rank, M all tokens, H heads, J heads of this rank, K head width, D width.
"""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from airshower.configs.gang_layout import ALONE, GangLayout


class Tokens(Protocol):
    """The tokens of a latent frame as they are shared out; tokens of several frames stand frame after frame."""

    def own(self, x: Tensor, axis: int) -> Tensor:
        """This rank's part of an axis that has all tokens of a frame."""
        ...

    def whole(self, x: Tensor, axis: int) -> Tensor:
        """Back from `own`: the axis with the parts of all ranks, on every rank."""
        ...

    def by_head(self, x_BNHK: Tensor) -> Tensor:
        """From all heads of this rank's tokens to this rank's heads of all tokens, (B, M, J, K)."""
        ...

    def by_token(self, x_BMD: Tensor) -> Tensor:
        """Back from `by_head`, with heads joined: (B, M, J*K) to (B, N, H*K)."""
        ...


class Mesh(Protocol):
    """The ranks that make one clip. All of them call the same methods in the same order."""

    layout: GangLayout

    def tokens(self, per_frame: int) -> Tokens:
        """How so many tokens of a frame are shared out; raises ValueError where some rank would have none."""
        ...

    def both(self, positive: Callable[[], Tensor], negative: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
        """The results of two independent computations, on every rank."""
        ...

    def agree(self, stop: bool) -> bool:
        """Whether any rank wants to stop."""
        ...


class _WholeFrames:
    """Nothing is shared out, moved or copied."""

    def own(self, x: Tensor, axis: int) -> Tensor:
        return x

    def whole(self, x: Tensor, axis: int) -> Tensor:
        return x

    def by_head(self, x_BNHK: Tensor) -> Tensor:
        return x_BNHK

    def by_token(self, x_BMD: Tensor) -> Tensor:
        return x_BMD


WHOLE_FRAMES: Tokens = _WholeFrames()


class _OneDevice:
    """One process makes the clip."""

    layout = ALONE

    def tokens(self, per_frame: int) -> Tokens:
        return WHOLE_FRAMES

    def both(self, positive: Callable[[], Tensor], negative: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
        return positive(), negative()

    def agree(self, stop: bool) -> bool:
        return stop


ONE_DEVICE: Mesh = _OneDevice()


class StoppedByAnotherRankError(RuntimeError):
    """A callback has stopped the sampler on another rank, which raises the callback's own error."""


def tell_step(on_step: Callable[[int], None] | None, step: int, mesh: Mesh) -> None:
    """Tells that a step is done; where a callback raises, every rank stops here, and none waits for another."""
    stops = True
    try:
        if on_step is not None:
            on_step(step)
        stops = False
    finally:
        stopped = mesh.agree(stops)
    if stopped:
        raise StoppedByAnotherRankError(f"after step {step}: another rank has stopped")
