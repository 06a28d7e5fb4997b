"""Reference ops on the video autoencoder of the 2B family."""

import torch
from torch import Tensor

from airshower.models.autoencoder import LatentScale, VideoAutoencoder
from airshower.models.whole_clip import decode_whole
from tests.parity.case import Call


def encode_decode(call: Call) -> dict[str, Tensor]:
    autoencoder = VideoAutoencoder.load_published(call.weights["main"], torch.device("cpu"), torch.float32)
    video = call.inputs["video"].float() / 127.5 - 1
    # The published decoder does not clamp; ours does so last.
    statistics = LatentScale(autoencoder.model.config.latents_mean, autoencoder.model.config.latents_std)
    decoded = decode_whole(autoencoder.model, statistics.restore(call.expected["latent"].float()))
    return {"latent": autoencoder.encode(video), "reconstruction": decoded}


def normalise(call: Call) -> dict[str, Tensor]:
    mu = call.inputs["mu"].float()
    scale = LatentScale(call.inputs["mean"].tolist(), call.inputs["std"].tolist())
    return {
        "latent": scale.normalise(mu),
        "denormalised": scale.restore(scale.normalise(mu)),
        "latent_bf16": scale.normalise(mu.bfloat16()).float(),
    }
