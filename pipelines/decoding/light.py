"""HDR and wide gamut to BT.709 by light, with OpenColorIO: what is brighter than white, or more colourful, is clipped.

Tones are not mapped: how bright scenes are to be compressed is a matter of taste, which a converter must not decide.
"""

from functools import cache

import numpy as np
from PyOpenColorIO import (
    BIT_DEPTH_UINT8,
    BIT_DEPTH_UINT16,
    OPTIMIZATION_DEFAULT,
    BuiltinTransform,
    Config,
    CPUProcessor,
    ExponentTransform,
    GroupTransform,
    MatrixTransform,
    PackedImageDesc,
    Transform,
)

from airshower.pipelines.decoding.colour_spaces import (
    D65,
    HLG_GAMMA,
    HLG_PEAK_CD_PER_M2,
    PRIMARIES,
    SDR_GAMMA,
    WHITE_CD_PER_M2,
    Gamut,
    Light,
)


def to_bt709(deep_HW3: np.ndarray, light: Light, gamut: Gamut) -> np.ndarray:
    """RGB of a colour space, uint16 (H, W, 3), as that of BT.709, uint8."""
    height, width, channels = deep_HW3.shape
    pixels = np.empty((height, width, channels), np.uint8)
    source = PackedImageDesc(deep_HW3, width, height, channels, BIT_DEPTH_UINT16, *_strides(deep_HW3))
    target = PackedImageDesc(pixels, width, height, channels, BIT_DEPTH_UINT8, *_strides(pixels))
    _processor(light, gamut).apply(source, target)
    return pixels


def _strides(image_HWC: np.ndarray) -> tuple[int, int, int]:
    """Bytes from a channel, a pixel and a row to the next."""
    row, pixel, channel = image_HWC.strides
    return channel, pixel, row


@cache
def _processor(light: Light, gamut: Gamut) -> CPUProcessor:
    steps = [*_to_light(light), MatrixTransform(_gamut_matrix(gamut)), _power(1 / SDR_GAMMA)]
    whole = Config.CreateRaw().getProcessor(GroupTransform(steps))
    return whole.getOptimizedCPUProcessor(BIT_DEPTH_UINT16, BIT_DEPTH_UINT8, OPTIMIZATION_DEFAULT)


def _to_light(light: Light) -> list[Transform]:
    """From the signal to light, of which 1 is white."""
    if light == "pq":  # OpenColorIO counts in 100 cd/m2
        return [BuiltinTransform("CURVE - ST-2084_to_LINEAR"), _times(100 / WHITE_CD_PER_M2["pq"])]
    if light == "hlg":
        scene = BuiltinTransform("CURVE - HLG-OETF-INVERSE")  # which OpenColorIO scales by its grey, not by its peak
        peak = Config.CreateRaw().getProcessor(scene).getDefaultCPUProcessor().applyRGB([1.0, 1.0, 1.0])[0]
        return [scene, _times(1 / peak), _power(HLG_GAMMA), _times(HLG_PEAK_CD_PER_M2 / WHITE_CD_PER_M2["hlg"])]
    return [_power(SDR_GAMMA)]


def _times(factor: float) -> Transform:
    return MatrixTransform.Scale([factor, factor, factor, 1])


def _power(exponent: float) -> Transform:
    return ExponentTransform([exponent, exponent, exponent, 1])


def _gamut_matrix(gamut: Gamut) -> list[float]:
    """From linear RGB of a gamut to that of BT.709, as 4 x 4."""
    whole = np.eye(4)
    whole[:3, :3] = np.linalg.inv(_to_xyz("bt709")) @ _to_xyz(gamut)
    return whole.ravel().tolist()


def _to_xyz(gamut: Gamut) -> np.ndarray:
    """The matrix from linear RGB to XYZ: columns are the primaries, so that together they make white."""
    columns = np.array([_xyz(x, y) for x, y in PRIMARIES[gamut]]).T
    return columns * np.linalg.solve(columns, _xyz(*D65))


def _xyz(x: float, y: float) -> tuple[float, float, float]:
    """A chromaticity with a luminance of 1."""
    return x / y, 1.0, (1 - x - y) / y
