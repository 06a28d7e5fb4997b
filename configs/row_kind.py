"""Rows of one kind cost the same: same network, shape, steps and controls. What the planner counts instead of rows."""

from dataclasses import dataclass

from airshower.configs.flops import ChunkSize, Flops


@dataclass(frozen=True, kw_only=True)
class RowKind:
    """What the time and the memory of a row depend on."""

    model: str  # name of its preset
    controls: tuple[str, ...]
    chunk: ChunkSize
    chunks: int
    steps: int
    guided: bool  # whether a step has two passes
    given_frames: int = 0  # of each camera, that a chunk starts with
    first_given: bool = False  # whether the first chunk has them, too
    styled: bool = False
    keeps_region: bool = False
    annotated: bool = False

    @property
    def megapixels(self) -> float:
        """Of one video of the clip, all cameras."""
        return self.chunks * self.chunk.pixels / 1e6

    def __str__(self) -> str:
        chunks = f" x {self.chunks} chunks" if self.chunks > 1 else ""
        controls = "+".join(self.controls) or "no control"
        extras = "".join(
            f", {words}"
            for words, there in (
                ("style image", self.styled),
                ("guided region", self.keeps_region),
                ("annotated", self.annotated),
                ("no guidance", not self.guided),
            )
            if there
        )
        return f"{self.chunk}{chunks}, {self.steps} steps, {controls}{extras}"


@dataclass(frozen=True, kw_only=True)
class RowWork:
    """The arithmetic of one row."""

    encode: Flops
    one_pass: Flops
    passes: int  # evaluations of the network
    blocks: int  # that one of them runs
    decode: Flops
    text: Flops
