"""The scores of the tiny models: which measure, against what, and how good is good enough.

Pure functions from clips to `Score`s. References and outputs are clips, uint8 (frames, height, width, 3), one per
held-out scene and in the same order. Where a control steers, the same score against another scene's reference says how
much of it comes for free.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from airshower.pipelines.evaluation.contrast import boundary_jump, contrast
from airshower.pipelines.evaluation.depth_readout import DepthReadout, control_nearness, rank_correlation
from airshower.pipelines.evaluation.looks import Confusion
from airshower.pipelines.evaluation.report import Score
from airshower.pipelines.metrics import bilateral_blur, canny_edges, edge_f1, psnr_db, ssim

Clips = Sequence[np.ndarray]

MIN_PSNR_DB = 28.0
MIN_BLUR_SSIM = 0.80
MIN_TIMES_SHUFFLED = 3.0
MIN_LOOK_ACCURACY = 0.90


def autoencoder_score(clips: Clips, reconstructions: Clips) -> Score:
    """PSNR of clips that went through the autoencoder, in dB."""
    values = tuple(psnr_db(clip, again) for clip, again in zip(clips, reconstructions, strict=True))
    passed = float(np.mean(values)) >= MIN_PSNR_DB
    return Score(name="autoencoder: PSNR (dB)", values=values, wanted=f">= {MIN_PSNR_DB:g}", passed=passed)


def edge_score(probe: str, references: Clips, outputs: Clips, *, required: bool) -> Score:
    """Edge F1 (Canny 100/200 on RGB) of outputs against the edges of their references."""
    edges = [canny_edges(clip) for clip in references]
    pairs = contrast(lambda own, output: edge_f1(own, output).f1, edges, [canny_edges(clip) for clip in outputs])
    score = Score(name=f"{probe}: edge F1", values=pairs.matched, shuffled=pairs.shuffled)
    return times_shuffled(score) if required else score


def vis_score(probe: str, references: Clips, outputs: Clips, *, required: bool) -> Score:
    """Blur SSIM of outputs against their references."""
    pairs = contrast(ssim, [bilateral_blur(clip) for clip in references], [bilateral_blur(clip) for clip in outputs])
    return Score(
        name=f"{probe}: blur SSIM",
        values=pairs.matched,
        shuffled=pairs.shuffled,
        wanted=f">= {MIN_BLUR_SSIM:g}" if required else "",
        passed=pairs.mean_matched >= MIN_BLUR_SSIM if required else None,
    )


def psnr_score(probe: str, references: Clips, outputs: Clips) -> Score:
    """PSNR of outputs against their references, in dB."""
    pairs = contrast(psnr_db, references, outputs)
    return Score(name=f"{probe}: PSNR (dB)", values=pairs.matched, shuffled=pairs.shuffled)


def depth_scores(
    probe: str, readout: DepthReadout, references: Clips, depth_controls: Clips, outputs: Clips
) -> tuple[Score, Score]:
    """Rank correlation of the depth read off outputs with their depth controls: as it is, and without the mean image.

    Streets are alike, so position alone explains much of depth; taking the mean depth image off both sides leaves what
    is particular to a scene. `references` are the ground-truth frames, for the ceiling.
    """
    controls = [control_nearness(control) for control in depth_controls]
    seen = [readout.nearness(clip) for clip in outputs]
    truly_seen = [readout.nearness(clip) for clip in references]

    def score(name: str, prior: np.ndarray | float) -> Score:
        own = [control - prior for control in controls]
        pairs = contrast(rank_correlation, own, [nearness - prior for nearness in seen])
        ceiling = contrast(rank_correlation, own, [nearness - prior for nearness in truly_seen])
        return Score(name=name, values=pairs.matched, shuffled=pairs.shuffled, ground_truth=ceiling.mean_matched)

    plain = score(f"{probe}: depth rank correlation", 0.0)
    particular = score(f"{probe}: depth rank correlation, mean image removed", readout.mean_nearness)
    return plain, times_shuffled(particular)


def look_score(generated: Confusion, ground_truth: Confusion) -> Score:
    """How often the prompted weather and time of day is told from the colours."""
    accuracy = generated.accuracy
    return Score(
        name="prompt: weather and time told apart",
        values=(accuracy,),
        ground_truth=ground_truth.accuracy,
        wanted=f">= {MIN_LOOK_ACCURACY:g}",
        passed=accuracy >= MIN_LOOK_ACCURACY,
    )


def seam_score(references: Clips, outputs: Clips, first_chunk_frames: int) -> Score:
    """Change across a chunk boundary over the change inside chunks (1 is seamless), of clips made in two chunks."""
    return Score(
        name="two chunks: jump at the boundary",
        values=tuple(boundary_jump(clip, first_chunk_frames) for clip in outputs),
        ground_truth=float(np.mean([boundary_jump(clip, first_chunk_frames) for clip in references])),
    )


def times_shuffled(score: Score) -> Score:
    """The score with the criterion that it is several times that of another scene."""
    floor = MIN_TIMES_SHUFFLED * max(score.mean_shuffled or 0.0, 0.0)
    passed = score.mean > 0 and score.mean >= floor
    return replace(score, wanted=f">= {MIN_TIMES_SHUFFLED:g}x another scene", passed=passed)
