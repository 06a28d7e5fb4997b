"""Training experiments: typed presets of what is trained, on which data and how long.

An experiment is data; `dataclasses.replace` makes a variant. Seeds of the sample world below `HELD_OUT_SEED` are for
training, the others for evaluation.
"""

from dataclasses import dataclass

HELD_OUT_SEED = 90_000


@dataclass(frozen=True, kw_only=True)
class WorldClips:
    """Training clips rendered from the sample world, through its front camera and with the controls of transfer."""

    clips: int
    seed: int
    frames: int = 33
    fps: float = 24.0
    height: int = 144
    width: int = 256
    captions: int = 8  # wordings per clip

    def __post_init__(self) -> None:
        if self.clips < 1 or self.seed + self.clips > HELD_OUT_SEED:
            raise ValueError(f"{self.clips} clips from seed {self.seed}: need one or more, all below {HELD_OUT_SEED}")
        if self.frames % 4 != 1 or self.height % 16 or self.width % 16:
            raise ValueError(
                f"clips of {self.frames} x {self.height} x {self.width}: expected 4k+1 frames, sides of 16k"
            )


@dataclass(frozen=True, kw_only=True)
class RigClips(WorldClips):
    """Training clips through all seven cameras, with the HD map as each of them sees it."""

    frames: int = 17
    fps: float = 10.0


@dataclass(frozen=True, kw_only=True)
class Optimisation:
    """Muon for the weights inside a network and AdamW for all others, both with linear warm-up and cosine decay to
    zero; the result is an exponential moving average of the weights.
    """

    steps: int
    batch: int  # clips per step, over all workers
    muon_learning_rate: float
    adam_learning_rate: float
    warmup_steps: int
    weight_decay: float = 0.01
    gradient_clip: float = 1.0
    ema_halflife_steps: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.muon_learning_rate, self.adam_learning_rate) <= 0:
            raise ValueError(
                f"{self.steps} steps of batch {self.batch} at rates {self.muon_learning_rate} and "
                f"{self.adam_learning_rate}: all must be positive"
            )


@dataclass(frozen=True, kw_only=True)
class Window:
    """What an autoencoder sees of a clip at once, in one part of its training."""

    until: float  # share of the steps after which the next window's part begins
    frames: int
    crop: int  # pixels, both sides


@dataclass(frozen=True, kw_only=True)
class AutoencoderExperiment:
    """A Wan autoencoder of small width, trained to reconstruct clips and their control videos."""

    name: str
    data: WorldClips
    optimisation: Optimisation
    base_dim: int
    decoder_base_dim: int
    width_multiples: tuple[int, ...]  # of the base widths, per level; the first level is at half the resolution
    res_blocks: int
    # Many cheap steps on short ones, then whole clips: pictures decay after the last frame number seen in training.
    windows: tuple[Window, ...]
    gradient_weight: float = 0.5  # of the error of image gradients, which keeps edges sharp
    kl_weight: float = 1e-6  # per nat and latent; a stronger pull makes latents so noisy that detail is lost


@dataclass(frozen=True, kw_only=True)
class LatentExperiment:
    """A transformer with control branches and its text encoder, trained on latents of an autoencoder."""

    name: str
    data: WorldClips
    optimisation: Optimisation
    shift: float = 3.0  # timestep shift of training, the sampler's too
    text_dropout: float = 0.1  # share of clips whose text becomes zeros
    conditional_frames: tuple[float, ...]  # chances of 0, 1, 2 given latent frames


@dataclass(frozen=True, kw_only=True)
class TransferExperiment(LatentExperiment):
    """One camera. `autoencoder` is trained first, on the same clips, unless the run is given a trained one."""

    autoencoder: AutoencoderExperiment
    conditional_frames: tuple[float, ...] = (0.5, 0.3, 0.2)
    # Steps on the first latent frames alone: cheaper in attention, and worth as many more clips as they are shorter.
    short_share: float = 0.5
    short_latent_frames: int = 3


@dataclass(frozen=True, kw_only=True)
class MultiviewExperiment(LatentExperiment):
    """Seven cameras at once, on latents of an autoencoder that is trained already."""

    data: RigClips
    conditional_frames: tuple[float, ...] = (0.5, 0.25, 0.25)
    # Steps on fewer latent frames or fewer cameras, drawn at random: each worth as many more clips as they are shorter.
    short_share: float = 0.5
    fewer_cameras_share: float = 0.3


def tiny_autoencoder() -> AutoencoderExperiment:
    """About 2 M parameters. Like Wan 2.2's, it works on 2 x 2 pixels at once: a quarter of the positions."""
    return AutoencoderExperiment(
        name="tiny-autoencoder",
        data=WorldClips(clips=160, seed=0),
        optimisation=Optimisation(
            steps=7_000, batch=2, muon_learning_rate=0.05, adam_learning_rate=2e-3, warmup_steps=50
        ),
        base_dim=16,
        decoder_base_dim=16,
        width_multiples=(1, 2, 4),
        res_blocks=1,
        windows=(Window(until=0.5, frames=9, crop=64), Window(until=1.0, frames=33, crop=64)),
    )


def tiny_transfer() -> TransferExperiment:
    """About 2 M parameters, trained on the clips of the autoencoder and more."""
    return TransferExperiment(
        name="tiny-transfer",
        autoencoder=tiny_autoencoder(),
        data=WorldClips(clips=480, seed=0),
        optimisation=Optimisation(
            steps=15_000,
            batch=32,
            muon_learning_rate=0.02,
            adam_learning_rate=2e-3,
            warmup_steps=100,
        ),
    )


def tiny_multiview() -> MultiviewExperiment:
    """About 1.7 M parameters."""
    return MultiviewExperiment(
        name="tiny-multiview",
        data=RigClips(clips=369, seed=0),
        optimisation=Optimisation(
            steps=5_000,
            batch=16,
            muon_learning_rate=0.02,
            adam_learning_rate=2e-3,
            warmup_steps=100,
        ),
    )


Experiment = AutoencoderExperiment | TransferExperiment | MultiviewExperiment
EXPERIMENTS: dict[str, Experiment] = {e.name: e for e in (tiny_autoencoder(), tiny_transfer(), tiny_multiview())}
