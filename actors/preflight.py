"""The check before a row is made: whether it fits the replica's GPU, beside the networks that are loaded or without."""

from collections.abc import Callable, Collection

from airshower.configs.gang_layout import ALONE, GangLayout
from airshower.configs.messages import PreparedClip, PreparedViews
from airshower.configs.offload import Offload
from airshower.configs.presets import ModelPreset
from airshower.configs.row_formats import AnySpec
from airshower.models.autoencoder import VideoAutoencoder
from airshower.models.chunks import chunk_length
from airshower.models.memory import STYLE_ENCODER_GIB, ClipShape, ModelMemory
from airshower.models.model_memory import memory_of
from airshower.models.model_parts import ModelParts
from airshower.models.room import Room, check_room


class Preflight:
    """Knows what the networks of one model need; `room` looks at the GPU."""

    def __init__(
        self,
        preset: ModelPreset,
        parts: ModelParts,
        autoencoder: VideoAutoencoder,
        offload: Collection[Offload],
        room: Callable[[], Room],
        layout: GangLayout = ALONE,
    ) -> None:
        self._preset, self._parts, self._autoencoder = preset, parts, autoencoder
        self._offload = offload
        self._room = room
        self._layout = layout
        self._memories: dict[str, ModelMemory] = {}

    def fits_beside(
        self,
        network: str,
        loaded: Collection[str],
        spec: AnySpec,
        prepared: PreparedClip | PreparedViews,
        *,
        style_encoder_loaded: bool,
    ) -> bool:
        """Whether the row fits with all networks staying that are `loaded`; raises NoRoomError if not even alone."""
        room, memory = self._room(), self._memory(network)
        styled = isinstance(prepared, PreparedClip) and prepared.style_image is not None
        held_gib = memory.autoencoder.resident_gib("autoencoder" in self._offload)
        held_gib += STYLE_ENCODER_GIB if style_encoder_loaded else 0.0
        networks_gib = {name: self._memory(name).network.resident_gib("dit" in self._offload) for name in loaded}
        there_gib = room.free_gib + held_gib + sum(networks_gib.values())
        need = check_room(
            memory,
            _shape(spec, prepared, whole_chunks=self._preset.whole_chunks),
            len(spec.controls),
            self._offload,
            there_gib=there_gib,
            total_gib=room.total_gib,
            extra_gib=STYLE_ENCODER_GIB if styled or style_encoder_loaded else 0.0,
            gang=self._layout,
        )
        networks_gib.pop(network, None)
        return need.room_gib + sum(networks_gib.values()) <= there_gib

    def _memory(self, network: str) -> ModelMemory:
        if network not in self._memories:
            config = self._parts.network_config(network)
            self._memories[network] = memory_of(self._preset, config, self._autoencoder.model)
        return self._memories[network]


def _shape(spec: AnySpec, prepared: PreparedClip | PreparedViews, *, whole_chunks: bool) -> ClipShape:
    return ClipShape(
        frames=chunk_length(prepared.frames, spec.sampling().chunk_frames, whole=whole_chunks),
        height=prepared.height,
        width=prepared.width,
        views=len(prepared.cameras) if isinstance(prepared, PreparedViews) else 1,
    )
