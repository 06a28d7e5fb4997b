"""Convolutions by oneDNN: the same numbers as torch's own kernel, and taken by the autoencoder."""

import torch
from torch.profiler import ProfilerActivity, profile

from airshower.models.autoencoder import VideoAutoencoder
from airshower.models.cpu_convolutions import fast_convolutions

CPU = torch.device("cpu")


def test_numbers_are_those_of_torchs_kernel():
    torch.manual_seed(0)
    layer = torch.nn.Conv3d(6, 8, (3, 3, 2), stride=(2, 1, 1), padding=(1, 0, 1), dilation=(1, 2, 1), groups=2)
    x = torch.randn(1, 6, 5, 12, 9)
    with torch.inference_mode(), fast_convolutions(CPU, torch.float32):
        found = layer(x)
    with torch.inference_mode(), fast_convolutions(CPU, torch.float64):  # which oneDNN can't do
        torch.testing.assert_close(found, layer.double()(x.double()).float())


def test_the_autoencoder_of_small_clips_takes_it(random_model):
    autoencoder = VideoAutoencoder.load(random_model / "autoencoder", CPU, torch.float32)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        autoencoder.decode(autoencoder.encode(torch.zeros(1, 3, 5, 16, 16)))
    taken = {event.name for event in profiled.events() or ()}
    assert "aten::mkldnn_convolution" in taken
    assert "aten::slow_conv3d_forward" not in taken
