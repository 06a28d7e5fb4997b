"""The edge control: Canny edges of the input video.

Thresholds and order of operations are those of the published Transfer2.5 inference code
(github.com/nvidia-cosmos/cosmos-transfer2.5), so edges computed here are the edges its networks were trained on. They
are looked for in RGB, not in grey, as there.
"""

import cv2
import numpy as np

# Canny's lower and upper hysteresis threshold by strength.
CANNY_THRESHOLDS: dict[str, tuple[int, int]] = {
    "very_low": (20, 50),
    "low": (50, 100),
    "medium": (100, 200),
    "high": (200, 300),
    "very_high": (300, 400),
}


def edge_map(frames: np.ndarray, strength: str) -> np.ndarray:
    """Canny edges of RGB frames, white on black.

    Takes and returns uint8 (frames, height, width, 3). Raises ValueError for an unknown strength.
    """
    if strength not in CANNY_THRESHOLDS:
        raise ValueError(f"strength {strength!r} is unknown: use one of {', '.join(CANNY_THRESHOLDS)}")
    low, high = CANNY_THRESHOLDS[strength]
    edges = np.empty_like(frames)
    for edge, frame in zip(edges, frames, strict=True):
        edge[:] = cv2.Canny(frame, low, high)[:, :, None]
    return edges
