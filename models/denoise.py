"""One chunk from noise to latents, with the sampler that its network was made for.

Needs the network alone, so that a rank of a gang can run it without an autoencoder.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from airshower.configs.presets import ModelPreset, Sampler
from airshower.configs.row_spec import SamplingSettings
from airshower.models.adams_bashforth import edm_sigmas, sample_predict2
from airshower.models.distilled import distilled_angles, sample_distilled
from airshower.models.dit.transformer import Transformer
from airshower.models.mesh import ONE_DEVICE, Mesh
from airshower.models.sampling import ChunkConditions, GuidedRegion, sample
from airshower.models.unipc import flow_schedule, noise


@dataclass(frozen=True, kw_only=True)
class SamplerSettings:
    """How one chunk is sampled."""

    sampler: Sampler
    seed: int
    steps: int
    shift: float  # of the flow sampler's noise levels
    guidance: float  # 0: none; a distilled network has none whatever it is

    @classmethod
    def of(cls, preset: ModelPreset, settings: SamplingSettings, seed: int) -> "SamplerSettings":
        """Those of a row's chunk."""
        return cls(
            sampler=preset.sampler,
            seed=seed,
            steps=settings.steps,
            shift=preset.shift,
            guidance=settings.guidance,
        )


def denoise(
    net: Transformer,
    conditions: ChunkConditions,
    settings: SamplerSettings,
    *,
    region: GuidedRegion | None = None,
    on_step: Callable[[int], None] | None = None,
    mesh: Mesh = ONE_DEVICE,
) -> Tensor:
    """Latents (B, C, T, Y, X) of the chunk, float32; on a mesh every rank calls it with the same inputs and gets them.

    `on_step` may differ from rank to rank: where it raises on one, the others raise StoppedByAnotherRankError. The
    noise is one draw for all cameras, however many GPUs there are.

    Raises ValueError for a guided region with a sampler that has no use for it, and for a mesh that doesn't suit.
    """
    sampler, guidance = settings.sampler, settings.guidance
    if region is not None and sampler != "flow":
        raise ValueError(f"guided generation works with the flow sampler, not with {sampler}")
    mesh.layout.check(net.config.heads, guided=sampler != "distilled" and guidance != 0)
    given_BCTYX = conditions.given_BCTYX
    start = noise(settings.seed, tuple(given_BCTYX.shape)).to(given_BCTYX.device)
    if sampler == "distilled":
        return sample_distilled(net, start, distilled_angles(settings.steps), conditions, on_step, mesh)
    if sampler == "predict2":
        return sample_predict2(net, start, edm_sigmas(settings.steps), conditions, guidance, on_step, mesh)
    schedule = flow_schedule(settings.steps, settings.shift)
    return sample(net, start, schedule, conditions, guidance, region=region, on_step=on_step, mesh=mesh)
