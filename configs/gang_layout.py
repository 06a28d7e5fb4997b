"""How the processes of a gang, one per GPU, share the work on one clip."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class GangLayout:
    """Some ranks share the tokens of every latent frame; two such groups make one half of guidance each.

    Rank r is number r % token_ranks of its group; the first group has the evaluation with the prompt. On several nodes,
    each has equally many ranks, the first node the first of them.
    """

    token_ranks: int = 1
    guidance_groups: int = 1
    spreads_weights: bool = False  # every rank has one part of the weights, for networks that don't fit one GPU
    nodes: int = 1

    def __post_init__(self) -> None:
        if self.token_ranks < 1 or self.guidance_groups not in (1, 2):
            raise ValueError(
                f"a gang of {self.guidance_groups} x {self.token_ranks} ranks: guidance takes 1 or 2 groups, and each "
                "has 1 or more ranks"
            )
        if self.spreads_weights and self.ranks == 1:
            raise ValueError("one rank has nobody to spread its weights over: leave that out, or use more ranks")
        if self.nodes < 1 or self.ranks % self.nodes:
            raise ValueError(f"{self.ranks} ranks on {self.nodes} nodes: each has equally many")

    @property
    def ranks(self) -> int:
        """Of the whole gang."""
        return self.token_ranks * self.guidance_groups

    @property
    def node_ranks(self) -> int:
        """Of each node."""
        return self.ranks // self.nodes

    def check(self, heads: int, *, guided: bool) -> None:
        """Raises ValueError where it doesn't suit a network of so many heads, or clips made with guidance or without.

        Both would otherwise leave ranks without work, or with work that others do as well.
        """
        if heads % self.token_ranks:
            fitting = ", ".join(str(ranks) for ranks in range(1, heads + 1) if heads % ranks == 0)
            raise ValueError(
                f"{self.token_ranks} ranks share the tokens of a network with {heads} attention heads: each needs "
                f"equally many heads: use {fitting} ranks"
            )
        if self.guidance_groups > 1 and not guided:
            raise ValueError(
                "a gang with two groups for guidance, and a clip without: guidance is 0 or the sampler has none: use "
                "one group"
            )

    def check_offload(self, offload: Collection[str]) -> None:
        """Raises ValueError for parts that a gang keeps nowhere else."""
        if self.ranks > 1 and "dit" in offload:
            raise ValueError(
                "offload dit: the network of a gang isn't kept in host memory: use --spread-weights, by which every "
                "GPU holds one part of it"
            )


ALONE = GangLayout()


def gang_of(gpus: int, *, guidance: bool, spread_weights: bool) -> GangLayout:
    """The layout of so many GPUs; with `guidance` each half of them makes one evaluation of guidance."""
    if guidance and gpus % 2:
        raise ValueError(f"gang {gpus}: guidance in two groups takes an even number of GPUs: use {gpus + 1}")
    groups = 2 if guidance else 1
    return GangLayout(token_ranks=gpus // groups, guidance_groups=groups, spreads_weights=spread_weights)
