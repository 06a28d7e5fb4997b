"""The published video-transfer scores: blur SSIM, edge F1, depth si-RMSE, mask mIoU, and PSNR.

Definitions and constants are those of the public evaluator (PAI-Bench transfer); the parity case `transfer_metrics`
pins them down. Every function is pure: frames in, numbers out. Estimating depth or masks from frames is not done here.
"""

from typing import Literal, NamedTuple

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

_BILATERAL = (30, 150, 100)  # diameter in pixels, sigma of colour, sigma of space: the evaluator's one blur
_CANNY = (100, 200)
_SSIM_WINDOW_PIXELS = 7
_SSIM_K = (0.01, 0.03)  # stabilisers of the SSIM paper
_MIN_IOU = 0.1  # pairs at or below it count as not found


class EdgeScore(NamedTuple):
    """Agreement of two edge maps, each 0..1."""

    f1: float
    precision: float
    recall: float


class MaskScore(NamedTuple):
    """Mean IoU of the pairs that were found, and the fraction of pairs that were."""

    miou: float
    kept_fraction: float


def psnr_db(gt: np.ndarray, pred: np.ndarray) -> float:
    """Peak signal-to-noise ratio over the whole clip, in dB (infinite when equal).

    Both are uint8 of one shape. Raises ValueError when the shapes differ.
    """
    _check_same_shape(gt, pred)
    error = np.mean((gt.astype(np.float32) - pred.astype(np.float32)) ** 2, dtype=np.float64)
    return float("inf") if error == 0 else float(10 * np.log10(255.0**2 / error))


def blur_ssim(gt: np.ndarray, pred: np.ndarray) -> float:
    """Structural similarity of two clips after the same strong blur, 1 when equal.

    Both are uint8 (frames, height, width, 3). Raises ValueError when shapes differ or a frame of `gt` has one colour.
    """
    _check_same_shape(gt, pred)
    return ssim(bilateral_blur(gt), bilateral_blur(pred))


def bilateral_blur(frames: np.ndarray) -> np.ndarray:
    """The evaluator's blur of every frame, uint8 (frames, height, width, 3)."""
    return np.stack([cv2.bilateralFilter(np.ascontiguousarray(frame), *_BILATERAL) for frame in frames])


def ssim(gt: np.ndarray, pred: np.ndarray) -> float:
    """Structural similarity of two clips, mean over everything; arguments and errors as `blur_ssim`."""
    _check_same_shape(gt, pred)
    return float(np.mean([_frame_ssim(a, b) for a, b in zip(gt, pred, strict=True)]))


def canny_edges(frames: np.ndarray) -> np.ndarray:
    """Edge maps, uint8 0 or 255 (frames, height, width), found on RGB frames without going through grey."""
    return np.stack([cv2.Canny(np.ascontiguousarray(frame), *_CANNY) for frame in frames])


def canny_f1(gt: np.ndarray, pred: np.ndarray) -> EdgeScore:
    """Agreement of the edges of two clips, uint8 (frames, height, width, 3); raises ValueError when shapes differ."""
    return edge_f1(canny_edges(gt), canny_edges(pred))


def edge_f1(gt_edges: np.ndarray, pred_edges: np.ndarray) -> EdgeScore:
    """Pixel-exact agreement of two edge maps (non-zero is edge), pooled over the clip.

    A clip without edges on one side scores 0. Raises ValueError when shapes differ.
    """
    _check_same_shape(gt_edges, pred_edges)
    gt, pred = gt_edges > 0, pred_edges > 0
    hits = float(np.count_nonzero(gt & pred))
    if hits == 0:
        return EdgeScore(0.0, 0.0, 0.0)
    precision, recall = hits / np.count_nonzero(pred), hits / np.count_nonzero(gt)
    return EdgeScore(2 * precision * recall / (precision + recall), precision, recall)


def depth_si_rmse(gt_depth: np.ndarray, pred_depth: np.ndarray) -> float:
    """Root mean square depth error after matching medians, mean over frames, in the unit of `gt_depth`.

    Depths are (frames, height, width); values that are not positive are unknown and left out. Raises ValueError when
    shapes differ or a frame has no pixel known on both sides.
    """
    errors = []
    for gt, pred in _known_depths(gt_depth, pred_depth):
        scaled = pred * (np.median(gt) / np.median(pred))
        errors.append(np.sqrt(np.mean((gt - scaled) ** 2)))
    return float(np.mean(errors))


def depth_si_rmse_log(gt_depth: np.ndarray, pred_depth: np.ndarray) -> float:
    """Scale-free error of log depth (Eigen et al.), mean over frames; arguments and errors as `depth_si_rmse`."""
    return float(np.mean([np.std(np.log(pred) - np.log(gt)) for gt, pred in _known_depths(gt_depth, pred_depth)]))


def mask_miou(gt_masks: np.ndarray, pred_masks: np.ndarray, matching: Literal["max", "hungarian"]) -> MaskScore:
    """Mean overlap of object masks over the whole clip; pairs with IoU <= 0.1 are dropped, all of them dropped is 0.

    Masks are (objects, frames, height, width), non-zero is inside; the two sides may hold different numbers of objects.
    "max" takes the best prediction of each ground truth, "hungarian" the best one-to-one assignment. Raises ValueError
    when the clips differ in shape, a side has no mask or the matching is unknown.
    """
    if gt_masks.shape[1:] != pred_masks.shape[1:] or not len(gt_masks) or not len(pred_masks):
        raise ValueError(f"masks are {gt_masks.shape} and {pred_masks.shape}: give 1 or more of one clip on both sides")
    iou = _pairwise_iou(gt_masks, pred_masks)
    if matching == "max":
        pairs = iou.max(axis=1)
    elif matching == "hungarian":
        pairs = iou[linear_sum_assignment(iou, maximize=True)]
    else:
        raise ValueError(f"matching {matching!r} is unknown: use max or hungarian")
    kept = pairs[pairs > _MIN_IOU]
    return MaskScore(float(kept.mean()) if kept.size else 0.0, kept.size / pairs.size)


def _check_same_shape(gt: np.ndarray, pred: np.ndarray) -> None:
    if gt.shape != pred.shape:
        raise ValueError(f"clips are {gt.shape} and {pred.shape}: compare clips of one shape")


def _frame_ssim(gt: np.ndarray, pred: np.ndarray) -> float:
    """Mean of the full SSIM map; unlike scikit-image's scalar it keeps the border, as the evaluator does."""
    value_range = float(gt.max()) - float(gt.min())
    if value_range == 0:
        raise ValueError("a ground-truth frame has a single colour: SSIM needs contrast, leave that clip out")
    c1, c2 = ((k * value_range) ** 2 for k in _SSIM_K)
    x, y = gt.astype(np.float64), pred.astype(np.float64)
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    samples = _SSIM_WINDOW_PIXELS**2
    unbiased = samples / (samples - 1)
    var_x = unbiased * (_window_mean(x * x) - mean_x**2)
    var_y = unbiased * (_window_mean(y * y) - mean_y**2)
    covariance = unbiased * (_window_mean(x * y) - mean_x * mean_y)
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (var_x + var_y + c2)
    return float(np.mean(luminance * structure))


def _window_mean(image: np.ndarray) -> np.ndarray:
    return cv2.blur(image, (_SSIM_WINDOW_PIXELS, _SSIM_WINDOW_PIXELS), borderType=cv2.BORDER_REFLECT)


def _known_depths(gt_depth: np.ndarray, pred_depth: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Per frame the values of both sides where both are known."""
    _check_same_shape(gt_depth, pred_depth)
    known = (gt_depth > 0) & (pred_depth > 0)
    for index, frame in enumerate(known):
        if not frame.any():
            raise ValueError(f"frame {index} has no pixel with depth on both sides: leave it out")
    return [(gt[k], pred[k]) for gt, pred, k in zip(gt_depth, pred_depth, known, strict=True)]


def _pairwise_iou(gt_masks: np.ndarray, pred_masks: np.ndarray) -> np.ndarray:
    """IoU of every pair over the whole clip, (ground truths, predictions); two empty masks overlap by 0."""
    gt = (gt_masks.reshape(len(gt_masks), -1) > 0).astype(np.float64)
    pred = (pred_masks.reshape(len(pred_masks), -1) > 0).astype(np.float64)
    overlap = gt @ pred.T
    union = gt.sum(axis=1)[:, None] + pred.sum(axis=1) - overlap
    return overlap / np.maximum(union, 1)
