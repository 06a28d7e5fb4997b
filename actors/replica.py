"""One replica: a loaded model on one device that turns prepared rows into frames.

The same class serves the batch pipeline, the endpoint and evaluation. A clip longer than a chunk is made chunk by
chunk, each conditioned on the last frames before it. On CPU a replica keeps to a fixed number of threads, so that a
row's video does not depend on how many replicas share the machine.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from airshower.cluster.packing import pack_frames, unpack_frames
from airshower.configs.messages import GeneratedClip, PackedFrames, PreparedClip, TextEmbedding
from airshower.configs.presets import ModelPreset
from airshower.configs.spec import ClipSpec, Control
from airshower.models.chunks import Chunk, chunk_length, pad_by_reversal, padded_length, plan_chunks
from airshower.models.pixels import to_frames, to_tensor
from airshower.models.transfer import ChunkInputs, TransferModel
from airshower.models.weights import model_folder, weights_identity

Progress = Callable[[float], None]


class Replica:
    """Holds one model; `identity` says which."""

    def __init__(self, preset: ModelPreset, weights: str | None = None, device: str = "cpu", threads: int = 1) -> None:
        torch.set_num_threads(threads)
        folder = model_folder(preset, weights)
        self._preset = preset
        self._model = TransferModel.load(folder, torch.device(device))
        self.identity: dict[str, Any] = {
            "name": preset.name,
            "family": preset.family,
            "weights": weights or "shipped",
            "sha256": weights_identity(folder),
        }

    @torch.inference_mode()
    def generate(
        self,
        spec: ClipSpec,
        prepared: PreparedClip,
        text: TextEmbedding,
        negative_text: TextEmbedding,
        on_progress: Progress | None = None,
    ) -> GeneratedClip:
        """The clip of one resolved row; `on_progress` is told the fraction done, 0..1, after every sampler step."""
        settings = spec.sampling()
        chunk_frames = chunk_length(prepared.frames, settings.chunk_frames)
        chunks = plan_chunks(prepared.frames, chunk_frames, spec.num_conditional_frames, spec.seed)
        clip = _ClipInputs(prepared, padded_length(chunks), {key: c.control_weight for key, c in spec.controls.items()})
        text_BMC, negative_BMC = (self._model.project_text(_states(text)) for text in (text, negative_text))
        clock = _Clock()
        frames = np.zeros((0, prepared.height, prepared.width, 3), np.uint8)
        for number, chunk in enumerate(chunks):
            with clock.time("encode_s"):
                inputs = clip.chunk(chunk, frames, text_BMC, negative_BMC)
                conditions = self._model.encode(inputs)
            with clock.time("denoise_s"):
                latents = self._model.denoise(
                    conditions,
                    seed=chunk.seed,
                    steps=settings.steps,
                    shift=self._preset.shift,
                    guidance=settings.guidance,
                    on_step=_fraction(on_progress, number, len(chunks), settings.steps),
                )
            with clock.time("decode_s"):
                frames = np.concatenate((frames, self._model.decode(latents)[chunk.overlap :]))
        return GeneratedClip(
            frames=pack_frames(frames[: prepared.frames]),
            model=self.identity,
            chunks=len(chunks),
            seconds=dict(clock.seconds),
        )

    @torch.inference_mode()
    def reconstruct(self, frames: np.ndarray) -> np.ndarray:
        """Frames through the autoencoder and back, uint8 (F, H, W, 3): shows what the autoencoder loses."""
        autoencoder = self._model.autoencoder
        padded = pad_by_reversal(frames, chunk_length(len(frames), len(frames) + 3))
        latents = autoencoder.encode(to_tensor(padded, self._model.device))
        return to_frames(autoencoder.decode(latents))[: len(frames)]


class _ClipInputs:
    """The unpacked inputs of a clip, padded to whole chunks."""

    def __init__(self, prepared: PreparedClip, length: int, weights: Mapping[str, float]) -> None:
        def padded(packed: dict[Control, PackedFrames]) -> dict[Control, np.ndarray]:
            return {key: pad_by_reversal(unpack_frames(frames), length) for key, frames in packed.items()}

        self.controls, self.masks = padded(prepared.controls), padded(prepared.masks)
        self.weights = weights

    def chunk(self, chunk: Chunk, made: np.ndarray, text: torch.Tensor, negative_text: torch.Tensor) -> ChunkInputs:
        """What one chunk is made from; `made` are all frames so far."""
        window = slice(chunk.start, chunk.start + chunk.length)
        return ChunkInputs(
            controls={key: frames[window] for key, frames in self.controls.items()},
            weights=self.weights,
            masks={key: frames[window] for key, frames in self.masks.items()},
            given=made[len(made) - chunk.overlap :],
            text_BMC=text,
            negative_text_BMC=negative_text,
        )


class _Clock:
    """Seconds spent in each part of the work."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def time(self, part: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds[part] += time.perf_counter() - start


def _states(text: TextEmbedding) -> np.ndarray:
    return np.frombuffer(text.data, np.float32).reshape(text.shape)


def _fraction(on_progress: Progress | None, chunk: int, chunks: int, steps: int) -> Callable[[int], None] | None:
    """Turns the sampler's step count within one chunk into the clip's fraction."""
    if on_progress is None:
        return None
    return lambda step: on_progress((chunk + step / steps) / chunks)
