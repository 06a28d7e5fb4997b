"""How a clip is cut into chunks: each chunk after the first starts with frames the chunk before it made.

Rules of the published Transfer2.5 inference: chunk k starts at k * (chunk - overlap); a short tail is padded by
playing the clip backwards; every chunk has a seed of its own, drawn from the one before.
"""

import random
from dataclasses import dataclass

import numpy as np

TEMPORAL_FACTOR = 4  # pixel frames per latent frame of the causal autoencoder
SPATIAL_FACTOR = 8  # pixels per latent, along each side
# Clips up to this many pixels (all frames) pass the autoencoder in one piece; longer ones are walked, which bounds
# memory. At the tiny model's width a whole clip of this size takes about 1 GB to decode.
WHOLE_CLIP_PIXELS = 2_000_000


@dataclass(frozen=True)
class Chunk:
    """Frames [start, start + length) of the padded clip; the first `overlap` of them are given."""

    start: int
    length: int
    overlap: int
    seed: int


def plan_chunks(frames: int, chunk_frames: int, overlap: int, seed: int) -> list[Chunk]:
    """The chunks of a clip of `frames` frames; raises ValueError when the overlap leaves a chunk nothing to make."""
    if overlap >= chunk_frames > 1:
        raise ValueError(f"{overlap} conditioning frames in chunks of {chunk_frames}: a chunk must make new frames")
    stride = chunk_frames - overlap if chunk_frames > 1 else 1
    count = 1 if frames <= chunk_frames else 1 + -(-(frames - chunk_frames) // stride)
    chunks = []
    for index in range(count):
        chunks.append(Chunk(index * stride, chunk_frames, overlap if index and chunk_frames > 1 else 0, seed))
        seed = random.Random(seed).randint(0, 1_000_000)
    return chunks


def padded_length(chunks: list[Chunk]) -> int:
    return chunks[-1].start + chunks[-1].length


def pad_by_reversal(frames: np.ndarray, length: int) -> np.ndarray:
    """Frames (F, ...) extended to `length` by playing them backwards; the last frame shows twice.

    One pass leaves out the frame it would end on; what it gave is played backwards in turn until there is enough.
    """
    while len(frames) < length:
        backwards = frames[::-1][: max(1, len(frames) - 1)]
        frames = np.concatenate((frames, backwards[: length - len(frames)]))
    return frames[:length]


def latent_frames(frames: int) -> int:
    """Latent frames of a clip; 0 for none."""
    return 0 if frames == 0 else 1 + (frames - 1) // TEMPORAL_FACTOR


def chunk_length(frames: int, chunk_frames: int, *, whole: bool) -> int:
    """Frames of a clip's chunks; `whole`: a clip shorter than a chunk is padded to one, as published.

    Otherwise it is one chunk of its own length, rounded up to 4k+1, and a single frame always is.
    """
    if whole and frames > 1:
        return chunk_frames
    return min(chunk_frames, 1 + -(-(frames - 1) // TEMPORAL_FACTOR) * TEMPORAL_FACTOR)
