"""How much arithmetic a clip took, by the parts that a replica times."""

from airshower.actors.model_costs import ModelCosts
from airshower.actors.row_kinds import kind_of
from airshower.configs.messages import PreparedClip, PreparedViews
from airshower.configs.presets import ModelPreset
from airshower.configs.row_formats import AnySpec
from airshower.configs.sizes import Size


class ClipFlops:
    """Of the clips of one preset's model, whose networks may be of other sizes than what was trained elsewhere."""

    def __init__(self, preset: ModelPreset) -> None:
        self._preset, self._costs = preset, ModelCosts(preset)

    def __call__(self, spec: AnySpec, prepared: PreparedClip | PreparedViews) -> dict[str, float]:
        """By part (encode_s, denoise_s, decode_s), all chunks; nothing where the network's sizes aren't known."""
        size = Size(height=prepared.height, width=prepared.width)
        try:
            work = self._costs.work(kind_of(spec, self._preset, frames=prepared.frames, size=size))
        except ValueError:
            return {}
        return {
            "encode_s": work.encode.total,
            "denoise_s": work.one_pass.total * work.passes,
            "decode_s": work.decode.total,
        }
