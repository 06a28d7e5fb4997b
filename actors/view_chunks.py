"""Making a clip of several cameras chunk by chunk: each chunk after the first goes on from the one before.

All cameras are made together. The rule of the published autoregressive inference: chunk k has the row's seed plus k.
Unlike there, every camera goes on from its own last frames, whatever the first chunk started with, and a last chunk
that the HD maps don't fill is padded and cut instead of refused.
"""

from functools import partial
from itertools import islice

import numpy as np

from airshower.actors.checkpoints import Checkpoints, MadeChunk
from airshower.actors.clip_chunks import ChunkTexts, MadeClip, OnStep, Timer, begun, last_frames
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
    checkpoints: Checkpoints,
    time: Timer,
    on_step: OnStep,
) -> MadeClip:
    """The clip of a resolved row, cameras first; raises what `checkpoints` raise."""
    settings = spec.sampling()
    overlap, whole = spec.chunk_overlap or 0, preset.whole_chunks
    chunks = plan_view_chunks(prepared.frames, settings.chunk_frames, overlap, spec.seed, whole=whole)
    clip = _Clip(spec, prepared, texts, padded_length(chunks))
    with time("load_s"):
        made = begun(checkpoints, len(chunks), on_step)
    resumed = len(made)
    for number, chunk in islice(enumerate(chunks), resumed, None):
        with time("encode_s"):
            given = list(made[-1].passed_on) if made else clip.first
            conditions = model.encode(clip.chunk(chunk, given))
        with time("denoise_s"):
            sampling = SamplerSettings.of(preset, settings, chunk.seed)
            told = partial(on_step, number, len(chunks))
            latents = model.denoise(conditions, sampling, on_step=told)
        with time("decode_s"):
            shown, cut = model.decode(latents, len(prepared.cameras), cut=spec.exact_reference)
            passed_on = np.stack([last_frames(camera, overlap) for camera in cut])
            made.append(MadeChunk(frames=shown[:, chunk.overlap :], passed_on=passed_on))
        if number + 1 < len(chunks):
            checkpoints.save(number, made[-1])
    frames = np.concatenate([one.frames for one in made], axis=1)
    return MadeClip(frames=frames[:, : prepared.frames], chunks=len(chunks), resumed_chunks=resumed)


class _Clip:
    """The unpacked inputs of a clip, HD maps padded to whole chunks."""

    def __init__(self, spec: MultiviewSpec, prepared: PreparedViews, texts: ChunkTexts, length: int) -> None:
        self._spec, self._prepared, self._texts = spec, prepared, texts
        maps = [pad_by_reversal(unpack_frames(packed), length) for packed in prepared.controls.values()]
        self._maps_VFHW3 = np.stack(maps) if maps else None
        counts = spec.given_frames()
        inputs = {name: unpack_frames(packed) for name, packed in prepared.inputs.items()}
        self.first = [inputs[name][: counts[name]] if counts[name] else _none(prepared) for name in prepared.cameras]

    def chunk(self, chunk: Chunk, given: list[np.ndarray]) -> ViewsInputs:
        """What one chunk is made from, and the frames that each camera starts with."""
        prepared, window = self._prepared, slice(chunk.start, chunk.start + chunk.length)
        return ViewsInputs(
            cameras=camera_ids(prepared.cameras),
            frames=chunk.length,
            height=prepared.height,
            width=prepared.width,
            fps=prepared.fps,
            given=given,
            control_VFHW3=None if self._maps_VFHW3 is None else self._maps_VFHW3[:, window],
            control_weight=self._spec.control_weight,
            text_MC=self._texts.text_MC,
            negative_text_MC=self._texts.negative_text_MC,
        )


def _none(prepared: PreparedViews) -> np.ndarray:
    return np.zeros((0, prepared.height, prepared.width, 3), np.uint8)
