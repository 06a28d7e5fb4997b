"""One replica: a loaded model on one device that turns prepared rows into frames.

The same class serves the batch pipeline, the endpoint and evaluation. How a clip is made chunk by chunk is in
`clip_chunks` and `view_chunks`. On CPU a replica keeps to a fixed number of threads, so that a
row's video does not depend on how many replicas share the machine.
"""

import gc
import os
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from airshower.actors.checkpoints import Checkpoints, NoCheckpoints
from airshower.actors.clip_chunks import ChunkTexts, make_clip
from airshower.actors.clip_flops import ClipFlops
from airshower.actors.gang import Gang
from airshower.actors.gang_network import load_network
from airshower.actors.local_parts import local_parts
from airshower.actors.preflight import Preflight
from airshower.actors.view_chunks import make_views
from airshower.cluster.packing import hold_frames, unpack_frames
from airshower.configs.gang_layout import ALONE, GangLayout
from airshower.configs.gpus import type_of
from airshower.configs.messages import GeneratedClip, PartTime, PreparedClip, PreparedViews, TextEmbedding
from airshower.configs.model_source import ModelSource
from airshower.configs.multiview_spec import MultiviewSpec
from airshower.configs.offload import Offload
from airshower.configs.row_formats import AnySpec
from airshower.configs.spec import ClipSpec
from airshower.models.autoencoder import VideoAutoencoder
from airshower.models.chunks import chunk_length, pad_by_reversal
from airshower.models.host_weights import HOST, Mover, gpu_mover
from airshower.models.multiview import MultiviewModel
from airshower.models.pixels import to_frames, to_tensor
from airshower.models.precision import compute_type
from airshower.models.room import Room, loading
from airshower.models.siglip import StyleEncoder
from airshower.models.transfer import TransferModel
from airshower.models.weights import files_sha256

Progress = Callable[[float], None]


class _CanBeOffloaded(Protocol):
    def offload(self, mover: Mover) -> None: ...


Offloadable = TypeVar("Offloadable", bound=_CanBeOffloaded)


class Replica:
    """Holds the networks of one model: the only one, or each from the first row on that it makes."""

    def __init__(
        self,
        source: ModelSource,
        device: str = "cpu",
        threads: int = 1,
        layout: GangLayout = ALONE,
    ) -> None:
        """With a layout of several ranks this process is the first of them, on its first GPU; raises GangError where
        the others can't be had.
        """
        torch.set_num_threads(threads)
        self._source = source
        self._preset = source.preset
        self._device = torch.device("cuda", 0) if device == "cuda" else torch.device(device)  # NCCL wants the number
        self._offload = source.offload
        self._mover = gpu_mover(self._device) if source.offload else None
        self._gpus = layout.ranks if self._device.type == "cuda" else 0
        self._flops = ClipFlops(source.preset)
        self._parts = local_parts(source)
        self._gang = None if layout == ALONE else Gang(source, layout, self._device, threads=threads)
        self._autoencoder: VideoAutoencoder = self._loaded("autoencoder", self._parts.autoencoder)
        self._preflight: Preflight | None = None
        if self._device.type == "cuda":
            room = partial(Room.of, self._device)
            self._preflight = Preflight(source.preset, self._parts, self._autoencoder, self._offload, room, layout)
        self._style_encoder: StyleEncoder | None = None
        self._models: dict[str, TransferModel | MultiviewModel] = {}
        self._identities: dict[str, dict[str, Any]] = {}
        if len(networks := self._parts.networks()) == 1:
            self._model(networks[0])  # weights that don't fit fail here, for all rows alike

    @torch.inference_mode()
    def generate(
        self,
        spec: AnySpec,
        prepared: PreparedClip | PreparedViews,
        text: TextEmbedding,
        negative_text: TextEmbedding,
        on_progress: Progress | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> GeneratedClip:
        """The clip of one resolved row; `on_progress` is told the fraction done, 0..1, after every sampler step.

        With `checkpoints` a clip of several chunks begins with those that were made before, which gives the same
        frames; raises what they raise.
        """
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        clock = _Clock()
        network = self._parts.network_of(tuple(spec.controls))
        with clock.time("load_s"):
            self._make_room(network, spec, prepared)
            model = self._model(network)
        fractions = _Fractions(on_progress, spec.sampling().steps)
        texts = ChunkTexts(text_MC=_states(text), negative_text_MC=_states(negative_text))
        kept = checkpoints or NoCheckpoints()
        if (
            isinstance(spec, MultiviewSpec)
            and isinstance(prepared, PreparedViews)
            and isinstance(model, MultiviewModel)
        ):
            made = make_views(model, self._preset, spec, prepared, texts, kept, clock.time, fractions.tell)
        elif isinstance(spec, ClipSpec) and isinstance(prepared, PreparedClip) and isinstance(model, TransferModel):
            with clock.time("load_s"):
                style_IC = self._style(prepared)
            made = make_clip(model, self._preset, spec, prepared, texts, style_IC, kept, clock.time, fractions.tell)
        else:
            raise ValueError(f"{spec.name}: {self._preset.name} can't make this kind of row")
        share = 1 - made.resumed_chunks / made.chunks
        return GeneratedClip(
            frames=hold_frames(made.frames.reshape(-1, *made.frames.shape[-3:])),
            model=self._identity(network),
            chunks=made.chunks,
            resumed_chunks=made.resumed_chunks,
            seconds=dict(clock.seconds),
            peak_gpu_gib=torch.cuda.max_memory_allocated() / 2**30 if self._device.type == "cuda" else None,
            gpu=type_of(torch.cuda.get_device_name(self._device)) if self._device.type == "cuda" else None,
            gpus=self._gpus,
            replica=f"{socket.gethostname()}:{os.getpid()}",
            parts=tuple(clock.parts),
            flops={part: flops * share for part, flops in self._flops(spec, prepared).items()},
        )

    def close(self) -> None:
        """Ends the other ranks of a gang, which otherwise end with this process."""
        if self._gang is not None:
            self._gang.close()

    @torch.inference_mode()
    def reconstruct(self, frames: np.ndarray) -> np.ndarray:
        """Frames through the autoencoder and back, uint8 (F, H, W, 3): shows what the autoencoder loses."""
        padded = pad_by_reversal(frames, chunk_length(len(frames), len(frames) + 3, whole=False))
        latents = self._autoencoder.encode(to_tensor(padded, self._device))
        return to_frames(self._autoencoder.decode(latents))[: len(frames)]

    def _make_room(self, network: str, spec: AnySpec, prepared: PreparedClip | PreparedViews) -> None:
        """Unloads other networks where the row doesn't fit beside them; raises NoRoomError where it doesn't fit."""
        if self._preflight is None or self._preflight.fits_beside(
            network, self._models, spec, prepared, style_encoder_loaded=self._style_encoder is not None
        ):
            return
        self._models = {name: model for name, model in self._models.items() if name == network}
        gc.collect()  # an offloaded network and its hooks know each other
        torch.cuda.empty_cache()

    def _model(self, network: str) -> TransferModel | MultiviewModel:
        if network not in self._models:
            kind = TransferModel if self._preset.multiview is None else MultiviewModel
            if self._gang is None:
                net = self._loaded("dit", partial(self._parts.network, network))
                self._models[network] = kind(net, self._autoencoder, self._device)
            else:
                self._models = {}  # as members have it: one network at a time
                self._gang.load(network)
                net = load_network(self._parts, network, self._gang.mesh, self._device)
                together = partial(self._gang.denoising, network)
                self._models[network] = kind(net, self._autoencoder, self._device, self._gang.mesh, together)
        return self._models[network]

    def _loaded(self, part: Offload, load: Callable[[torch.device, torch.dtype], Offloadable]) -> Offloadable:
        """A part on the device, or in host memory where it is to be offloaded."""
        dtype = compute_type(self._device)
        if self._mover is None or part not in self._offload:
            with loading(part):
                return load(self._device, dtype)
        loaded = load(HOST, dtype)
        loaded.offload(self._mover)
        return loaded

    def _style(self, prepared: PreparedClip) -> np.ndarray | None:
        """Encoder states (256, channels) of the row's style image, if it has one."""
        if prepared.style_image is None:
            return None
        if self._style_encoder is None:
            self._style_encoder = self._parts.style_encoder(self._device, compute_type(self._device))
        return self._style_encoder.encode(unpack_frames(prepared.style_image)[0]).float().cpu().numpy()

    def _identity(self, network: str) -> dict[str, Any]:
        """What a clip's record says of the model that made it."""
        if network not in self._identities:
            self._identities[network] = {
                "name": self._preset.name,
                "family": self._preset.family,
                "network": network,
                "weights": self._source.weights or "shipped",
                "sha256": files_sha256(self._parts.files(network)),
                "ema": self._source.load_ema,
                "offload": list(self._offload),
            }
        return self._identities[network]


class _Clock:
    """Seconds spent in each part of the work, and when."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.parts: list[PartTime] = []

    @contextmanager
    def time(self, part: str) -> Iterator[None]:
        begun_ns, start = time.time_ns(), time.perf_counter()
        yield
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        self.seconds[part] += seconds
        self.parts.append(PartTime(part=part, begun_ns=begun_ns, seconds=seconds))


def _states(text: TextEmbedding) -> np.ndarray:
    return np.frombuffer(text.data, np.float32).reshape(text.shape)


class _Fractions:
    """Turns the sampler's steps within one chunk into the clip's fraction."""

    def __init__(self, on_progress: Progress | None, steps: int) -> None:
        self._on_progress = on_progress
        self._steps = steps

    def tell(self, chunk: int, chunks: int, step: int) -> None:
        """That a step of a chunk, from 0, is done."""
        if self._on_progress is not None:
            self._on_progress((chunk + step / self._steps) / chunks)
