"""Colours come out as those of BT.709: rounded from more bits, converted from HDR and wide gamut, or refused."""

import io
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageCms

from airshower.pipelines.decoding.errors import MediaError
from airshower.pipelines.media import read_video

FILES = Path(__file__).parent / "files"
HEIGHT, WIDTH = 32, 96
BT709, BT2020, P3 = 1, 9, 12  # as ITU-T H.273 numbers primaries
SDR, PQ, HLG, LINEAR = 1, 16, 18, 8  # and transfers
LUMA = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}  # of red and blue, by matrix
TO_WIDE = {  # linear BT.709 to other primaries, from ITU-R BT.2087 and SMPTE EG 432-1
    BT2020: [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]],
    P3: [[0.8225, 0.1774, 0.0000], [0.0332, 0.9669, 0.0000], [0.0171, 0.0724, 0.9108]],
    BT709: np.eye(3),
}
COLOURS = np.array([(255, 255, 255), (128, 128, 128), (200, 100, 50), (50, 150, 200), (255, 0, 0), (30, 60, 30)])


def pq(light):
    """The signal of light in units of 203 cd/m2, by SMPTE ST 2084."""
    y = (np.clip(light, 0, None) * 203 / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


def hlg(light):
    """The signal of light in units of 100 cd/m2 on a screen of 1000, by ITU-R BT.2100 with its gamma per channel."""
    scene = (np.clip(light, 0, None) / 10) ** (1 / 1.2)
    high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)


CODES = {PQ: pq, HLG: hlg, SDR: lambda light: np.clip(light, 0, 1) ** (1 / 2.4)}


def write_deep(path, values_N3, *, matrix, primaries, transfer, codec="ffv1", full_range=False):
    """A video of 10 bits in which every colour, R'G'B' of 0..1, stands as a bar."""
    red, blue = LUMA[matrix]
    r, g, b = values_N3.T
    luma = red * r + (1 - red - blue) * g + blue * b
    planes = [luma, (b - luma) / (2 - 2 * blue), (r - luma) / (2 - 2 * red)]
    scale, zero = (1023, 0) if full_range else (876, 64)
    chroma = 1023 if full_range else 896
    codes = [planes[0] * scale + zero, planes[1] * chroma + 512, planes[2] * chroma + 512]
    width = WIDTH // len(values_N3)
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuv444p10le")
    for plane, code in zip(frame.planes, codes, strict=True):
        rows = np.zeros((HEIGHT, plane.line_size // 2), np.uint16)
        rows[:, :WIDTH] = np.rint(np.repeat(code, width)).clip(0, 1023)
        plane.update(rows.tobytes())
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv444p10le"
        context = stream.codec_context
        for tagged in (context, frame):
            tagged.colorspace, tagged.color_range = matrix, 2 if full_range else 1
            tagged.color_primaries, tagged.color_trc = primaries, transfer
        frame.pts = 0
        container.mux([*stream.encode(frame), *stream.encode()])


def bars(path, count):
    """The colours of a video's bars, and what is said of it."""
    video = read_video(str(path))
    width = WIDTH // count
    return video.frames[0, HEIGHT // 2, width // 2 :: width].astype(int), video.notes


@pytest.mark.parametrize(
    ("primaries", "transfer", "full_range", "words"),
    [
        (BT2020, PQ, False, "is HDR (PQ) and was converted to BT.709: light above 203 cd/m2 is clipped"),
        (BT2020, PQ, True, "is HDR (PQ)"),
        (P3, PQ, False, "is HDR (PQ)"),
        (BT2020, HLG, False, "is HDR (HLG) and was converted to BT.709: light above 100 cd/m2 is clipped"),
        (P3, HLG, False, "is HDR (HLG)"),
        (BT2020, SDR, False, "has the wide colours of BT.2020"),
        (P3, SDR, False, "has the wide colours of P3"),
    ],
)
def test_hdr_and_wide_gamut_are_converted_by_light(tmp_path, primaries, transfer, full_range, words):
    light = (COLOURS / 255) ** 2.4 @ np.array(TO_WIDE[primaries]).T
    matrix = 9 if primaries == BT2020 else 1
    write_deep(tmp_path / "a.mkv", CODES[transfer](light), matrix=matrix, primaries=primaries, transfer=transfer,
               full_range=full_range)  # fmt: skip
    found, notes = bars(tmp_path / "a.mkv", len(COLOURS))
    assert np.abs(found - COLOURS).mean() < 4
    assert notes[0].startswith(words)


@pytest.mark.parametrize("name", ["hlg", "pq", "wide"])
def test_files_that_zscale_made_are_converted(name):
    frame = read_video(str(FILES / f"{name}.mp4")).frames[5].astype(int)
    found = [frame[row * 36 + 18, column * 32 + 16] for row in range(4) for column in range(8)]
    assert np.abs(np.array(found) - np.load(FILES / "patch_cols.npy")).mean() < 4


def test_what_is_brighter_than_white_is_clipped(tmp_path):
    write_deep(tmp_path / "a.mkv", pq(np.array([[4.0] * 3, [1.0] * 3])), matrix=9, primaries=BT2020, transfer=PQ)
    found, _ = bars(tmp_path / "a.mkv", 2)
    assert (found >= 252).all()


@pytest.mark.parametrize(("full_range", "most"), [(False, 0.8), (True, 1.3)])
def test_ten_bits_are_rounded(tmp_path, full_range, most):
    """Half a level of 8 bits and a rounding of 10; of the full range FFmpeg takes 1020 for white."""
    levels = np.linspace(0, 1, 48)
    write_deep(tmp_path / "a.mkv", np.repeat(levels[:, None], 3, axis=1), matrix=1, primaries=BT709, transfer=SDR,
               full_range=full_range)  # fmt: skip
    found, notes = bars(tmp_path / "a.mkv", 48)
    error = found - levels[:, None] * 255
    assert np.abs(error).max() <= most
    assert abs(error.mean()) < most / 2
    assert not notes


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"transfer": LINEAR}, r"its light is coded in a way that is not read \(transfer 8\): save it as ordinary"),
        ({"primaries": 10}, r"its colours have primaries that are not read \(number 10\)"),
    ],
)
def test_other_colours_are_refused(tmp_path, tags, message):
    write_deep(tmp_path / "a.mkv", COLOURS / 255, **{"matrix": 1, "primaries": BT709, "transfer": SDR, **tags})
    with pytest.raises(MediaError, match=message):
        read_video(str(tmp_path / "a.mkv"))


def p3_profile():
    """A colour profile of P3 with sRGB's curve: that of sRGB with other primaries, as D50 has them."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    # s15Fixed16 columns of red, green and blue in XYZ, of Display P3's own profile
    columns = {b"rXYZ": (0.51512, 0.2412, -0.00105), b"gXYZ": (0.29198, 0.69225, 0.04189), b"bXYZ": (0.1571, 0.06657, 0.78407)}  # fmt: skip # noqa: E501
    for name, xyz in columns.items():
        entry = profile.index(name, 128)
        offset = int.from_bytes(profile[entry + 4 : entry + 8], "big") + 8
        for place, value in enumerate(xyz):
            at = offset + 4 * place
            profile[at : at + 4] = round(value * 65536).to_bytes(4, "big", signed=True)
    return bytes(profile).replace(b"s\0R\0G\0B", b"p\0P\x003\0 ").replace(b"sRGB", b"P3  ")


def test_a_pictures_colour_profile_counts(tmp_path):
    linear = (np.array([[200, 100, 50]]) / 255) ** 2.2 @ np.array(TO_WIDE[P3]).T
    stored = np.rint(255 * linear ** (1 / 2.2)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(np.tile(stored, (16, 16, 1))).save(file, "PNG", icc_profile=p3_profile())
    (tmp_path / "p3.png").write_bytes(file.getvalue())
    video = read_video(str(tmp_path / "p3.png"))
    assert np.abs(video.frames[0, 8, 8].astype(int) - (200, 100, 50)).max() <= 4
    assert np.abs(stored[0].astype(int) - (200, 100, 50)).max() > 6
    assert "was converted to sRGB" in video.notes[0]
