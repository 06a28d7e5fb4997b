"""Pictures stand upright: all eight display matrices of a video, all eight Exif orientations of a picture."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from airshower.pipelines.decoding.errors import MediaError
from airshower.pipelines.media import read_header, read_video
from tests.pipelines.decoding.numbered import picture, write

FILES = Path(__file__).parent / "files"
TURNS = [(degrees, hflip) for degrees in (0, 90, 180, 270) for hflip in (False, True)]
# What a viewer does with a stored picture, by the numbers of the Exif standard.
BY_EXIF = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: np.rot90(p, 1),
}


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A picture that looks different from all sides, as it is decoded."""
    path = tmp_path_factory.mktemp("stored") / "stored.mkv"
    write(path, codec="ffv1", pictures=[picture(0b0011_0001_0110)])
    return read_video(str(path)).frames[0]


@pytest.mark.parametrize(("degrees", "hflip"), TURNS)
@pytest.mark.parametrize("name", ["turned.mp4", "turned.mkv"])
def test_a_video_is_turned_and_mirrored(tmp_path, stored, name, degrees, hflip):
    if hflip and name.endswith("mkv"):
        return  # Matroska has no mirrored pictures
    write(
        tmp_path / name,
        codec="libx264",
        options={"qp": "0"},
        pictures=[picture(0b0011_0001_0110)],
        setup=lambda _, stream: stream.set_display_rotation(degrees, hflip=hflip),
    )
    expected = np.rot90(stored, degrees // 90)  # counter-clockwise, then mirrored
    expected = expected[:, ::-1] if hflip else expected
    frame = read_video(str(tmp_path / name)).frames[0]
    assert frame.shape == expected.shape
    assert np.abs(frame.astype(int) - expected).mean() < 3
    header = read_header(str(tmp_path / name))
    assert (header.height, header.width) == frame.shape[:2]


def test_a_turned_and_mirrored_file_of_ffmpeg():
    frame = read_video(str(FILES / "rot90hflip.mp4"), max_frames=1).frames[0]
    stored = read_video(str(FILES / "gop.mp4"), max_frames=1).frames[0]
    assert frame.shape == stored.swapaxes(0, 1).shape


@pytest.mark.parametrize("degrees", [30, 200])
def test_other_angles_are_refused(tmp_path, degrees):
    write(tmp_path / "tilted.mp4", setup=lambda _, stream: stream.set_display_rotation(degrees))
    with pytest.raises(MediaError, match=r"tilted\.mp4: is to be shown turned by an angle that is no quarter turn"):
        read_video(str(tmp_path / "tilted.mp4"))


@pytest.mark.parametrize("tag", BY_EXIF)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_picture_is_turned_as_its_exif_says(tmp_path, stored, kind, tag):
    image = Image.fromarray(stored)
    exif = image.getexif()
    exif[274] = tag
    lossless = {"lossless": True} if kind == "WEBP" else {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    file = io.BytesIO()
    image.save(file, kind, exif=exif, **lossless)
    (tmp_path / "picture").write_bytes(file.getvalue())
    frame = read_video(str(tmp_path / "picture")).frames[0]
    expected = BY_EXIF[tag](stored)
    assert frame.shape == expected.shape
    assert np.abs(frame.astype(int) - expected).max() <= 3
