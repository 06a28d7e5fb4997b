"""Frame sizes by resolution key and aspect ratio, as published for the Cosmos family, plus "144" for the tiny models.

A clip takes the size of the nearest aspect ratio, so frames are resized directly and never cropped. Every side is a
multiple of 16 (8x autoencoder, 2x patch). The published keys 256, 512 and 1024 are left out: no model here uses them.
"""

from dataclasses import dataclass

ASPECTS: dict[str, float] = {"16:9": 16 / 9, "4:3": 4 / 3, "1:1": 1.0, "3:4": 3 / 4, "9:16": 9 / 16}


@dataclass(frozen=True)  # positional, as sizes are read: Size(height, width)
class Size:
    """Height and width of a frame in pixels."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


def _row(landscape: tuple[int, int], four_three: tuple[int, int], square: tuple[int, int]) -> dict[str, Size]:
    """Sizes of one key from (width, height) of its landscape half; the portrait half mirrors it."""
    (w16, h9), (w4, h3), (w1, h1) = landscape, four_three, square
    return {
        "16:9": Size(h9, w16),
        "4:3": Size(h3, w4),
        "1:1": Size(h1, w1),
        "3:4": Size(w4, h3),
        "9:16": Size(w16, h9),
    }


SIZES: dict[str, dict[str, Size]] = {
    "144": _row((256, 144), (192, 144), (144, 144)),
    "480": _row((768, 432), (640, 480), (480, 480)),
    "480p": _row((832, 480), (640, 480), (640, 640)),
    "720": _row((1280, 704), (960, 704), (960, 960)),
    "720p": _row((1280, 720), (960, 720), (960, 960)),
    "1080": _row((1920, 1056), (1440, 1056), (1024, 1024)),
}


def nearest_size(resolution: str, height: int, width: int) -> Size:
    """The size of `resolution` whose aspect ratio is nearest to a height x width frame, by squared difference of w/h.

    Raises ValueError for an unknown key.
    """
    if resolution not in SIZES:
        raise ValueError(f"resolution {resolution!r} is unknown: use one of {', '.join(SIZES)}")
    ratio = width / height
    aspect = min(ASPECTS, key=lambda name: (ASPECTS[name] - ratio) ** 2)
    return SIZES[resolution][aspect]
