"""Making a clip of several cameras chunk by chunk: each chunk after the first goes on from the one before.

All cameras are made together. The rule of the published autoregressive inference: chunk k has the row's seed plus k.
Unlike there, every camera goes on from its own last frames, whatever the first chunk started with, and a last chunk
that the HD maps don't fill is padded and cut instead of refused.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np

from airshower.actors.clip_chunks import ChunkTexts, OnStep, Timer
from airshower.cluster.packing import unpack_frames
from airshower.configs.cameras import camera_ids
from airshower.configs.messages import PreparedViews
from airshower.configs.multiview_spec import MultiviewSpec
from airshower.configs.presets import ModelPreset
from airshower.models.chunks import Chunk, chunk_length, pad_by_reversal, padded_length
from airshower.models.denoise import SamplerSettings
from airshower.models.multiview import MultiviewModel, ViewsInputs


def plan_view_chunks(frames: int, chunk_frames: int, overlap: int, seed: int, *, whole: bool) -> list[Chunk]:
    """The chunks of a clip with `frames` frames per camera."""
    length = chunk_length(frames, chunk_frames, whole=whole)
    stride = length - overlap
    count = 1 if frames <= length else 1 + -(-(frames - length) // stride)
    return [Chunk(index * stride, length, overlap if index else 0, seed + index) for index in range(count)]


def make_views(
    model: MultiviewModel,
    preset: ModelPreset,
    spec: MultiviewSpec,
    prepared: PreparedViews,
    texts: ChunkTexts,
    time: Timer,
    on_step: OnStep,
) -> tuple[np.ndarray, int]:
    """Frames (V, F, H, W, 3) of a resolved row and its count of chunks."""
    settings = spec.sampling()
    overlap, whole = spec.chunk_overlap or 0, preset.whole_chunks
    chunks = plan_view_chunks(prepared.frames, settings.chunk_frames, overlap, spec.seed, whole=whole)
    clip = _Clip(spec, prepared, texts, padded_length(chunks))
    made = frames = np.zeros((len(prepared.cameras), 0, prepared.height, prepared.width, 3), np.uint8)
    for number, chunk in enumerate(chunks):
        with time("encode_s"):
            conditions = model.encode(clip.chunk(chunk, made))
        with time("denoise_s"):
            sampling = SamplerSettings.of(preset, settings, chunk.seed)
            told = partial(on_step, number, len(chunks))
            latents = model.denoise(conditions, sampling, on_step=told)
        with time("decode_s"):
            shown, made = model.decode(latents, len(prepared.cameras), cut=spec.exact_reference)
            frames = np.concatenate((frames, shown[:, chunk.overlap :]), axis=1)
    return frames[:, : prepared.frames], len(chunks)


class _Clip:
    """The unpacked inputs of a clip, HD maps padded to whole chunks."""

    def __init__(self, spec: MultiviewSpec, prepared: PreparedViews, texts: ChunkTexts, length: int) -> None:
        self._spec, self._prepared, self._texts = spec, prepared, texts
        maps = [pad_by_reversal(unpack_frames(packed), length) for packed in prepared.controls.values()]
        self._maps_VFHW3 = np.stack(maps) if maps else None
        counts = spec.given_frames()
        inputs = {name: unpack_frames(packed) for name, packed in prepared.inputs.items()}
        self._first = [inputs[name][: counts[name]] if counts[name] else _none(prepared) for name in prepared.cameras]

    def chunk(self, chunk: Chunk, made_VFHW3: np.ndarray) -> ViewsInputs:
        """What one chunk is made from; `made` is the chunk before it."""
        prepared, window = self._prepared, slice(chunk.start, chunk.start + chunk.length)
        return ViewsInputs(
            cameras=camera_ids(prepared.cameras),
            frames=chunk.length,
            height=prepared.height,
            width=prepared.width,
            fps=prepared.fps,
            given=self._first if chunk.start == 0 else list(_last(made_VFHW3, chunk.overlap)),
            control_VFHW3=None if self._maps_VFHW3 is None else self._maps_VFHW3[:, window],
            control_weight=self._spec.control_weight,
            text_MC=self._texts.text_MC,
            negative_text_MC=self._texts.negative_text_MC,
        )


def _none(prepared: PreparedViews) -> np.ndarray:
    return np.zeros((0, prepared.height, prepared.width, 3), np.uint8)


def _last(made_VFHW3: np.ndarray, frames: int) -> Iterator[np.ndarray]:
    """The last frames of every camera."""
    return (camera_FHW3[len(camera_FHW3) - frames :] for camera_FHW3 in made_VFHW3)
