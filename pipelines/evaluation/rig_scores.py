"""The scores of models for several cameras: do the HD maps steer, and do neighbouring cameras show one world?

Pure functions from rigs, uint8 (V, F, height, width, 3), to `Score`s; one rig per held-out scene, all in one order.
Everything is scored without the mean image of other scenes: streets are alike, and what is alike proves nothing. For
the same reason each clip is compared with every other scene, not with one.
"""

from collections.abc import Sequence

import numpy as np

from airshower.pipelines.evaluation.contrast import contrast
from airshower.pipelines.evaluation.map_readout import LAYERS, MapReadout, correlation
from airshower.pipelines.evaluation.report import Score
from airshower.pipelines.evaluation.scores import times_shuffled
from airshower.pipelines.evaluation.view_overlap import agreement, overlaps, structure

Rigs = Sequence[np.ndarray]


def map_scores(readout: MapReadout, hdmaps: Rigs, ground_truth: Rigs, outputs: Rigs) -> list[Score]:
    """Per layer of the HD map, the correlation of where it is drawn with where outputs seem to show it."""
    drawn = [readout.drawn(maps) for maps in hdmaps]
    seen = [readout.seen(rig) for rig in outputs]
    truly_seen = [readout.seen(rig) for rig in ground_truth]
    scores = []
    for number, layer in enumerate(LAYERS):
        own = [maps[..., number] for maps in drawn]
        pairs = contrast(correlation, own, [rig[..., number] for rig in seen], all_others=True)
        ceiling = contrast(correlation, own, [rig[..., number] for rig in truly_seen])
        score = Score(
            name=f"HD map: {layer} where they are drawn (correlation)",
            values=pairs.matched,
            shuffled=pairs.shuffled,
            ground_truth=ceiling.mean_matched,
        )
        scores.append(times_shuffled(score))
    return scores


def neighbour_score(others: Rigs, ground_truth: Rigs, outputs: Rigs) -> Score:
    """Agreement of every camera's picture with what its neighbours show of the same place.

    Shuffled are neighbours from another scene's clip. `others` are scenes that give the mean image.
    """
    height, width = outputs[0].shape[2:4]
    pairs = overlaps(height, width)
    mean_image = np.mean([structure(rig).mean(axis=1, keepdims=True) for rig in others], axis=0)

    def agree(own: np.ndarray, neighbours: np.ndarray) -> float:
        return agreement(pairs, own, neighbours)

    shown = [structure(rig) - mean_image for rig in outputs]
    truly = [structure(rig) - mean_image for rig in ground_truth]
    found, ceiling = contrast(agree, shown, shown, all_others=True), contrast(agree, truly, truly)
    score = Score(
        name="neighbouring cameras show one world (correlation)",
        values=found.matched,
        shuffled=found.shuffled,
        ground_truth=ceiling.mean_matched,
    )
    return times_shuffled(score)
