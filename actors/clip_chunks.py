"""Making a clip of one camera chunk by chunk: each chunk after the first starts with the last frames before it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import numpy as np

from airshower.actors.checkpoints import Checkpoints, MadeChunk
from airshower.cluster.packing import unpack_frames
from airshower.configs.messages import PackedFrames, PreparedClip
from airshower.configs.presets import ModelPreset
from airshower.configs.spec import ClipSpec
from airshower.models.chunks import Chunk, chunk_length, pad_by_reversal, padded_length, plan_chunks
from airshower.models.denoise import SamplerSettings
from airshower.models.pixels import to_frames
from airshower.models.transfer import ChunkInputs, GuidedInput, TransferModel

Timer = Callable[[str], AbstractContextManager[None]]  # of a part of the work, by name
OnStep = Callable[[int, int, int], None]  # told the chunk, the count of chunks and the sampler's step


@dataclass(frozen=True, kw_only=True)
class ChunkTexts:
    """Embeddings of the row's prompts; those of several cameras stand one camera after the other."""

    text_MC: np.ndarray
    negative_text_MC: np.ndarray


@dataclass(frozen=True, kw_only=True)
class MadeClip:
    """Frames (F, H, W, 3), with several cameras (V, F, H, W, 3), and in how many chunks they were made."""

    frames: np.ndarray
    chunks: int
    resumed_chunks: int  # of these, not made here but found


def make_clip(
    model: TransferModel,
    preset: ModelPreset,
    spec: ClipSpec,
    prepared: PreparedClip,
    texts: ChunkTexts,
    style_IC: np.ndarray | None,
    checkpoints: Checkpoints,
    time: Timer,
    on_step: OnStep,
) -> MadeClip:
    """The clip of a resolved row; raises ValueError for what can't be made, and what `checkpoints` raise."""
    settings = spec.sampling()
    length = chunk_length(prepared.frames, settings.chunk_frames, whole=preset.whole_chunks)
    chunks = plan_chunks(prepared.frames, length, spec.num_conditional_frames, spec.seed)
    if len(chunks) > 1 and preset.sampler == "distilled":
        raise ValueError(
            f"{spec.name}: {prepared.frames} frames take {len(chunks)} chunks, and {preset.name} was trained on single "
            f"ones: set max_frames to {length}, or use another --model"
        )
    clip = _Clip(spec, prepared, texts, style_IC, padded_length(chunks))
    with time("load_s"):
        made = begun(checkpoints, len(chunks), on_step)
    resumed = len(made)
    given = made[-1].passed_on if made else np.zeros((0, prepared.height, prepared.width, 3), np.uint8)
    for number, chunk in islice(enumerate(chunks), resumed, None):
        with time("encode_s"):
            inputs = clip.chunk(chunk, given)
            conditions = model.encode(inputs)
            region = None if inputs.guided is None else model.guided_region(inputs.guided)
        with time("denoise_s"):
            sampling = SamplerSettings.of(preset, settings, chunk.seed)
            told = partial(on_step, number, len(chunks))
            latents = model.denoise(conditions, sampling, region=region, on_step=told)
        with time("decode_s"):
            video = model.decode(latents)
            frames = to_frames(video)[chunk.overlap :]
            # A published chunk goes on from frames that were cut to whole numbers: half a level darker each time.
            last = to_frames(video, rounded=False) if spec.exact_reference else np.concatenate((given, frames))
            given = last_frames(last, chunks[-1].overlap)
            made.append(MadeChunk(frames=frames, passed_on=given))
        if number + 1 < len(chunks):
            checkpoints.save(number, made[-1])
    frames = np.concatenate([one.frames for one in made])
    return MadeClip(frames=frames[: prepared.frames], chunks=len(chunks), resumed_chunks=resumed)


def begun(checkpoints: Checkpoints, chunks: int, on_step: OnStep) -> list[MadeChunk]:
    """The chunks of a clip that were made before."""
    made = list(checkpoints.load()) if chunks > 1 else []
    if made:
        on_step(len(made), chunks, 0)
    return made


def last_frames(frames_FHW3: np.ndarray, count: int) -> np.ndarray:
    """So many frames from the end of some, or all there are."""
    return frames_FHW3[max(0, len(frames_FHW3) - count) :]


class _Clip:
    """The unpacked inputs of a clip, padded to whole chunks."""

    def __init__(
        self, spec: ClipSpec, prepared: PreparedClip, texts: ChunkTexts, style_IC: np.ndarray | None, length: int
    ) -> None:
        missing = [*(spec.controls.keys() - prepared.controls), *(spec.mask_prompts.keys() - prepared.masks)]
        if missing:
            raise ValueError(f"{spec.name}: {', '.join(missing)} left to annotators, but not computed: annotate first")

        def padded(packed: PackedFrames) -> np.ndarray:
            return pad_by_reversal(unpack_frames(packed), length)

        self.texts = texts
        self.style_IC = style_IC
        self.controls = {key: padded(frames) for key, frames in prepared.controls.items()}
        self.masks = {key: padded(frames) for key, frames in prepared.masks.items()}
        self.weights: dict[str, float] = {key: control.control_weight for key, control in spec.controls.items()}
        self.guided: GuidedInput | None = None
        if prepared.guided_region is not None:
            if prepared.input_frames is None or spec.guided_generation_step_threshold is None:
                raise ValueError(f"{spec.name}: guided generation needs an input video and a resolved spec")
            self.guided = GuidedInput(
                frames=padded(prepared.input_frames),
                mask=padded(prepared.guided_region),
                last_step=spec.guided_generation_step_threshold,
                as_published=spec.exact_reference,
            )

    def chunk(self, chunk: Chunk, given: np.ndarray) -> ChunkInputs:
        """What one chunk is made from, and the frames that it starts with."""
        window = slice(chunk.start, chunk.start + chunk.length)
        return ChunkInputs(
            controls={key: frames[window] for key, frames in self.controls.items()},
            weights=self.weights,
            masks={key: frames[window] for key, frames in self.masks.items()},
            given=given,
            text_MC=self.texts.text_MC,
            negative_text_MC=self.texts.negative_text_MC,
            image_IC=self.style_IC,
            guided=self.guided
            and replace(self.guided, frames=self.guided.frames[window], mask=self.guided.mask[window]),
        )
