"""HD maps and what shows of them: where paint, kerbs and vehicles are on a map, and where a picture seems to have them.

Assumes the colours of the sample world's HD maps. Rigs are clips, uint8 (V, F, height, width, 3), V cameras in one
order.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from airshower.pipelines.evaluation.pixel_readout import PixelReadout, fit_pixel_readout, shrink
from airshower.pipelines.world import hdmap

LAYERS = {
    "lanes": (hdmap.LANE_LINE, hdmap.CENTRE_LINE, hdmap.KERB, hdmap.CROSSWALK, hdmap.STOP_LINE),
    "boxes": (hdmap.VEHICLE,),
}
_OTHERS = (hdmap.POLE, hdmap.SIGNAL, hdmap.PEDESTRIAN)
_DARKEST = 10  # of the brightest channel; what is darker is black
_BLUR_PIXELS = 1.0  # at reading size: a lane that is off by a pixel or two still counts


@dataclass(frozen=True)
class MapReadout:
    """Reads the layers of the HD map off pictures, without what a camera sees in all scenes."""

    pixels: PixelReadout
    mean_images: np.ndarray  # (V, 1, height / 4, width / 4, layers)

    def drawn(self, hdmaps: np.ndarray) -> np.ndarray:
        """The layers of a rig's HD maps, float (V, F, height / 4, width / 4, layers), less each camera's mean image."""
        return layers(hdmaps) - self.mean_images

    def seen(self, rig: np.ndarray) -> np.ndarray:
        """The layers as a rig's pictures show them, in the same form."""
        return np.stack([self.pixels.difference(frames) for frames in rig])


def fit_map_readout(rigs: Sequence[np.ndarray], hdmaps: Sequence[np.ndarray]) -> MapReadout:
    """Fits one readout for all cameras on rigs of pictures and their HD maps."""
    drawn = [layers(maps) for maps in hdmaps]
    mean_images = np.mean([maps.mean(axis=1, keepdims=True) for maps in drawn], axis=0)
    pictures = [picture for rig in rigs for frames in rig for picture in frames]
    targets = np.concatenate([(maps - mean_images).reshape(-1, *maps.shape[2:]) for maps in drawn])
    return MapReadout(fit_pixel_readout(pictures, targets, detail=True), mean_images)


def layers(hdmaps: np.ndarray) -> np.ndarray:
    """How much of each layer every pixel of a rig's HD maps has, float (V, F, height / 4, width / 4, layers)."""
    return np.stack([[_layers_of(picture) for picture in maps] for maps in hdmaps])


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's correlation over everything, -1..1; 0 when one side is constant."""
    a, b = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale else 0.0


def _layers_of(picture: np.ndarray) -> np.ndarray:
    """Dimming and smoothing against black keep a colour's hue, so the nearest hue tells what was drawn."""
    colours = [colour for group in LAYERS.values() for colour in group] + list(_OTHERS)
    hues = np.array(colours, np.float32)
    hues /= hues.max(axis=1, keepdims=True)
    brightest = picture.max(axis=2, keepdims=True).astype(np.float32)
    distance = np.square((picture / np.maximum(brightest, 1))[:, :, None] - hues).sum(axis=3)
    drawn = np.where(brightest[..., 0] >= _DARKEST, distance.argmin(axis=2), len(colours))
    first, coverage = 0, []
    for group in LAYERS.values():
        mask = (drawn >= first) & (drawn < first + len(group))
        coverage.append(mask.astype(np.float32))
        first += len(group)
    return cv2.GaussianBlur(shrink(np.stack(coverage, axis=2)), (0, 0), _BLUR_PIXELS)
