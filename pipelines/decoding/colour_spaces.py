"""Names and figures of the colour spaces that are converted to BT.709."""

from typing import Literal

Light = Literal["sdr", "pq", "hlg"]  # how light is coded
Gamut = Literal["bt709", "bt2020", "p3"]

# Chromaticities (x, y) of red, green and blue; white is D65 in all of them.
PRIMARIES: dict[Gamut, tuple[tuple[float, float], ...]] = {
    "bt709": ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    "bt2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    "p3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
D65 = (0.3127, 0.3290)
# What becomes white: for PQ that of ITU-R BT.2408, for HLG the peak of an SDR screen. Both as FFmpeg's zscale has them.
WHITE_CD_PER_M2: dict[Light, int] = {"pq": 203, "hlg": 100}
HLG_PEAK_CD_PER_M2, HLG_GAMMA = 1000, 1.2  # of the screen that HLG is meant for, by ITU-R BT.2100; per channel
SDR_GAMMA = 2.4  # of a screen, by ITU-R BT.1886
