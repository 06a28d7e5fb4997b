"""What the rows of a model cost, from the sizes of its networks alone: arithmetic and GPU memory.

No weights are loaded.
"""

from collections.abc import Collection
from functools import cache

from airshower.configs.flops import (
    AutoencoderSize,
    ChunkSize,
    Flops,
    decode_flops,
    encode_flops,
    pass_flops,
    reason1_flops,
    t5_flops,
)
from airshower.configs.offload import Offload
from airshower.configs.presets import ModelPreset, PublishedWeights, TrainedWeights
from airshower.configs.row_kind import RowKind, RowWork
from airshower.models.memory import (
    CONTEXT_GIB,
    GAPS,
    GIB,
    STYLE_ENCODER_GIB,
    ClipShape,
    ModelMemory,
    denoise_bytes,
    row_need,
)
from airshower.models.memory import text_gib as text_need_gib
from airshower.models.model_memory import UnknownNetworkError, memory_without_weights, shipped_autoencoder
from airshower.models.text import MAX_TOKENS


class ModelCosts:
    """Of one preset's model, with the parts in `offload` in host memory."""

    def __init__(self, preset: ModelPreset, offload: Collection[Offload] = ()) -> None:
        self._preset, self._offload = preset, offload
        self._memory = cache(lambda controls: memory_without_weights(preset, controls))
        self._autoencoder = _autoencoder_size(preset)

    def knows(self, kind: RowKind) -> bool:
        """Whether the sizes of the row's network are known without its file."""
        try:
            self._sizes(kind)
        except UnknownNetworkError:
            return False
        return True

    def work(self, kind: RowKind) -> RowWork:
        """The arithmetic of a row, all its chunks."""
        config = self._sizes(kind).config
        published = isinstance(self._preset.weights, PublishedWeights)
        tokens = {} if published else {"text_tokens": MAX_TOKENS}
        videos = len(kind.controls) + kind.keeps_region
        encode = encode_flops(self._autoencoder, kind.chunk) * (videos * kind.chunks)
        if kind.given_frames:
            given = ChunkSize(
                frames=kind.given_frames, height=kind.chunk.height, width=kind.chunk.width, views=kind.chunk.views
            )
            encode += encode_flops(self._autoencoder, given) * (kind.chunks - 1 + kind.first_given)
        hints = 0 if config.control is None else len(config.control.injected_after)
        return RowWork(
            encode=encode,
            one_pass=pass_flops(config, kind.chunk, controls=len(kind.controls), **tokens),
            passes=kind.chunks * self._passes(kind),
            blocks=config.blocks + hints * len(kind.controls),
            decode=decode_flops(self._autoencoder, kind.chunk) * kind.chunks,
            text=self._text(),
        )

    def replica_gib(self, kind: RowKind, gang: int = 1) -> float:
        """Of the fullest GPU of a replica that makes the row; the text encoder is elsewhere.

        In a gang each GPU has all weights and its share of the tokens, and one of them the autoencoder.
        """
        sizes, shape = self._sizes(kind), _shape(kind)
        extra_gib = STYLE_ENCODER_GIB if kind.styled else 0.0
        need = row_need(sizes, shape, len(kind.controls), self._offload, extra_gib)
        whole_gib = denoise_bytes(sizes.config, shape, len(kind.controls)) / GIB
        denoise_gib = need.denoise_gib - whole_gib * (1 - 1 / gang)
        return max(need.encode_gib, denoise_gib, need.decode_gib) * (1 + GAPS) + CONTEXT_GIB

    def text_gib(self, kind: RowKind) -> float:
        """Of the text encoder at work, in a process of its own; 0 where it is not on a GPU."""
        sizes = self._sizes(kind)
        return 0.0 if sizes.text is None else text_need_gib(sizes, self._offload) + CONTEXT_GIB

    def weights_gib(self, kind: RowKind) -> float:
        """What a replica loads before its first row."""
        sizes = self._sizes(kind)
        return sizes.network.gib + sizes.autoencoder.gib

    @property
    def text_on_gpu(self) -> bool:
        """Whether prompts are embedded on a GPU."""
        return self._preset.text_on_gpu

    def _sizes(self, kind: RowKind) -> ModelMemory:
        return self._memory(kind.controls)

    def _passes(self, kind: RowKind) -> int:
        """Of one chunk: the sampler of Predict2 ends with one more."""
        evaluations = kind.steps + (self._preset.sampler == "predict2")
        return evaluations * (2 if kind.guided else 1)

    def _text(self) -> Flops:
        weights = self._preset.weights
        if not isinstance(weights, PublishedWeights):
            return Flops()  # two layers of width 64
        return reason1_flops() if weights.reads_text_with == "reason1" else t5_flops()


def _shape(kind: RowKind) -> ClipShape:
    chunk = kind.chunk
    return ClipShape(frames=chunk.frames, height=chunk.height, width=chunk.width, views=chunk.views)


def _autoencoder_size(preset: ModelPreset) -> AutoencoderSize:
    if not isinstance(preset.weights, TrainedWeights):
        return AutoencoderSize()
    config = shipped_autoencoder(preset.weights)
    return AutoencoderSize(
        width=config["base_dim"],
        multipliers=tuple(config["dim_mult"]),
        residual_blocks=config["num_res_blocks"],
        halves_time=tuple(config["temperal_downsample"]),
        channels=config["in_channels"],
        latent_channels=config["z_dim"],
        patch=config["patch_size"] or 1,
    )
