"""Making a clip of one camera chunk by chunk: each chunk after the first starts with the last frames before it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

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


def make_clip(
    model: TransferModel,
    preset: ModelPreset,
    spec: ClipSpec,
    prepared: PreparedClip,
    texts: ChunkTexts,
    style_IC: np.ndarray | None,
    time: Timer,
    on_step: OnStep,
) -> tuple[np.ndarray, int]:
    """Frames (F, H, W, 3) of a resolved row and its count of chunks; raises ValueError for what can't be made."""
    settings = spec.sampling()
    length = chunk_length(prepared.frames, settings.chunk_frames, whole=preset.whole_chunks)
    chunks = plan_chunks(prepared.frames, length, spec.num_conditional_frames, spec.seed)
    if len(chunks) > 1 and preset.sampler == "distilled":
        raise ValueError(
            f"{spec.name}: {prepared.frames} frames take {len(chunks)} chunks, and {preset.name} was trained on single "
            f"ones: set max_frames to {length}, or use another --model"
        )
    clip = _Clip(spec, prepared, texts, style_IC, padded_length(chunks))
    made = frames = np.zeros((0, prepared.height, prepared.width, 3), np.uint8)
    for number, chunk in enumerate(chunks):
        with time("encode_s"):
            inputs = clip.chunk(chunk, made)
            conditions = model.encode(inputs)
            region = None if inputs.guided is None else model.guided_region(inputs.guided)
        with time("denoise_s"):
            sampling = SamplerSettings.of(preset, settings, chunk.seed)
            told = partial(on_step, number, len(chunks))
            latents = model.denoise(conditions, sampling, region=region, on_step=told)
        with time("decode_s"):
            video = model.decode(latents)
            frames = np.concatenate((frames, to_frames(video)[chunk.overlap :]))
            # A published chunk goes on from frames that were cut to whole numbers: half a level darker each time.
            made = to_frames(video, rounded=False) if spec.exact_reference else frames
    return frames[: prepared.frames], len(chunks)


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
            )

    def chunk(self, chunk: Chunk, made: np.ndarray) -> ChunkInputs:
        """What one chunk is made from; `made` ends with the frames that the chunk starts with."""
        window = slice(chunk.start, chunk.start + chunk.length)
        return ChunkInputs(
            controls={key: frames[window] for key, frames in self.controls.items()},
            weights=self.weights,
            masks={key: frames[window] for key, frames in self.masks.items()},
            given=made[len(made) - chunk.overlap :],
            text_MC=self.texts.text_MC,
            negative_text_MC=self.texts.negative_text_MC,
            image_IC=self.style_IC,
            guided=self.guided
            and replace(self.guided, frames=self.guided.frames[window], mask=self.guided.mask[window]),
        )
