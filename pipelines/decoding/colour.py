"""From a decoded frame to 8-bit RGB as BT.709 and sRGB screens have it, which is what the networks were trained on.

Ordinary video goes through FFmpeg: by its tagged matrix and range, BT.601 where nothing is tagged, as OpenCV has it;
more than 8 bits are rounded. HDR (HLG, PQ) and wide gamut (BT.2020, P3) are converted by light
(`airshower.pipelines.decoding.light`). What is coded in yet another way is an error, never taken for BT.709.
"""

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorTrc, Interpolation

from airshower.pipelines.decoding.colour_spaces import WHITE_CD_PER_M2, Gamut, Light
from airshower.pipelines.decoding.errors import MediaError

# As ITU-T H.273 numbers them; 2 is "not said".
_LIKE_BT709_LIGHT = (0, 1, 2, 4, 5, 6, 7, 11, 12, 13, 14, 15)  # transfers of SDR, which differ too little to be seen
_LIKE_BT709_COLOURS = (0, 1, 2, 5, 6, 7, 22)  # primaries of BT.709, BT.601 and EBU
_MATRICES = (0, 1, 2, 4, 5, 6, 7, 9)  # that FFmpeg converts
_PQ, _HLG = int(ColorTrc.SMPTE2084), int(ColorTrc.ARIB_STD_B67)
_BT2020, _P3 = int(ColorPrimaries.BT2020), int(ColorPrimaries.SMPTE432)
_LIGHT: dict[int, Light] = {_PQ: "pq", _HLG: "hlg"}
_GAMUT: dict[int, Gamut] = {_BT2020: "bt2020", _P3: "p3"}
_REMEDY = "save it as ordinary video, in BT.709"
_ROUNDED = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


def rgb(frame: av.VideoFrame, path: str) -> np.ndarray:
    """The frame's pixels, uint8 (H, W, 3); raises MediaError for colours that can't be converted."""
    space = (int(frame.color_primaries), int(frame.color_trc))
    if int(frame.colorspace) not in _MATRICES:
        raise MediaError(f"{path}: its colours are coded in a way that is not read ({frame.colorspace}): {_REMEDY}")
    if is_ordinary(*space):
        deep = max(part.bits for part in frame.format.components) > 8
        return frame.to_ndarray(format="rgb24", interpolation=_ROUNDED if deep else None)
    _check_known(space, path)
    from airshower.pipelines.decoding.light import to_bt709  # 20 MB, which ordinary videos don't need

    # FFmpeg's rounding flags, which 8 bits need, give false colours in 16
    deep_rgb = np.ascontiguousarray(frame.to_ndarray(format="rgb48le"))
    return to_bt709(deep_rgb, _LIGHT.get(space[1], "sdr"), _GAMUT.get(space[0], "bt709"))


def conversion_words(frame: av.VideoFrame) -> str | None:
    """What `rgb` does to the colours, for the user; None where it takes them as they are."""
    primaries, transfer = space = (int(frame.color_primaries), int(frame.color_trc))
    if is_ordinary(*space):
        return None
    if transfer in _LIGHT:
        name = _LIGHT[transfer]
        white = WHITE_CD_PER_M2[name]
        return f"is HDR ({name.upper()}) and was converted to BT.709: light above {white} cd/m2 is clipped to white"
    gamut = "BT.2020" if primaries == _BT2020 else "P3"
    return f"has the wide colours of {gamut} and was converted to BT.709: what is more colourful is clipped"


def is_ordinary(primaries: int, transfer: int) -> bool:
    """Whether colours, as H.273 numbers them, are taken as they are."""
    return primaries in _LIKE_BT709_COLOURS and transfer in _LIKE_BT709_LIGHT


def _check_known(space: tuple[int, int], path: str) -> None:
    primaries, transfer = space
    if primaries not in _GAMUT and primaries not in _LIKE_BT709_COLOURS:
        raise MediaError(f"{path}: its colours have primaries that are not read (number {primaries}): {_REMEDY}")
    if transfer not in _LIGHT and transfer not in _LIKE_BT709_LIGHT:
        raise MediaError(f"{path}: its light is coded in a way that is not read (transfer {transfer}): {_REMEDY}")
