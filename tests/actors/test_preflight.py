"""The check before a row, on made-up GPUs: fits beside the loaded networks, fits alone, or fails."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from airshower.actors.preflight import Preflight
from airshower.cluster.packing import pack_frames
from airshower.configs.messages import PreparedClip
from airshower.configs.presets import transfer25_2b
from airshower.configs.spec import ClipSpec
from airshower.models.autoencoder import VideoAutoencoder
from airshower.models.memory import ClipShape, row_need
from airshower.models.model_memory import memory_of
from airshower.models.room import NoRoomError, Room
from tests.models.checkpoints.small import WITH_IMAGE

WIDE = replace(WITH_IMAGE, width=512, mlp_width=2048, text_channels=512)


class Parts:
    """Two networks of one size."""

    def network_config(self, name: str):
        return WIDE


@pytest.fixture
def row():
    packed = pack_frames(np.zeros((5, 16, 16, 3), np.uint8))
    prepared = PreparedClip(
        fps=10, frames=5, height=16, width=16, input_height=16, input_width=16,
        input_frames=None, controls={"edge": packed}, masks={},
    )  # fmt: skip
    fields = {"name": "a", "prompt": "rain", "edge": {"control_path": "/e.mp4"}, "num_video_frames_per_chunk": 5}
    return ClipSpec.model_validate(fields).resolved(transfer25_2b()), prepared


def test_other_networks_give_way_before_a_row_fails(random_model, row):
    autoencoder = VideoAutoencoder.load(random_model / "autoencoder", torch.device("cpu"), torch.float32)
    model = memory_of(transfer25_2b(), WIDE, autoencoder.model)
    network_gib = model.network.gib
    need_gib = row_need(model, ClipShape(frames=5, height=16, width=16), 1).room_gib

    def fits(there_gib: float, loaded: tuple[str, ...]) -> bool:
        held_gib = model.autoencoder.gib + network_gib * len(loaded)
        room = Room(total_gib=100, free_gib=there_gib - held_gib)
        preflight = Preflight(transfer25_2b(), Parts(), autoencoder, (), lambda: room)
        return preflight.fits_beside("edge", loaded, *row, style_encoder_loaded=False)

    enough_gib = need_gib * 1.0001
    assert fits(enough_gib, ())
    assert fits(enough_gib, ("edge",))
    assert fits(enough_gib + network_gib, ("edge", "vis"))
    assert not fits(enough_gib, ("edge", "vis"))
    assert not fits(enough_gib, ("vis",))
    with pytest.raises(NoRoomError, match=r"needs \d+\.\d GiB of GPU memory \(16x16, 5 frames\)"):
        fits(need_gib * 0.999, ("vis",))
