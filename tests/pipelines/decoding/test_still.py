"""Single pictures: whole, rounded to 8 bits, put together from tiles, or an error."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from airshower.pipelines.decoding.errors import MediaError
from airshower.pipelines.media import read_header, read_video
from tests.pipelines.decoding.numbered import numbers, picture

FILES = Path(__file__).parent / "files"
NUMBER = 0b1010_0110_0101


def save(path, kind, pixels=None, **how):
    Image.fromarray(picture(NUMBER) if pixels is None else pixels).save(path, kind, **how)


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("PNG", {}),
        ("JPEG", {"quality": 95}),
        ("JPEG", {"quality": 95, "progressive": True}),
        ("WEBP", {"quality": 95}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("PPM", {}),
        ("JPEG2000", {}),
        ("AVIF", {"quality": 95}),
        ("MPO", {"save_all": True, "append_images": [Image.new("RGB", (128, 72))]}),  # a phone's, with a second picture
    ],
)
def test_a_picture_is_a_clip_of_one_frame(tmp_path, kind, how):
    save(tmp_path / "picture", kind, **how)
    video = read_video(str(tmp_path / "picture"))
    assert (numbers(video.frames), video.fps) == ([NUMBER], 24.0)
    assert not video.notes
    assert read_header(str(tmp_path / "picture")).frames == 1


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK"])
def test_other_modes_become_rgb(tmp_path, mode):
    Image.fromarray(picture(NUMBER)).convert(mode).save(tmp_path / "picture", "TIFF")
    assert numbers(read_video(str(tmp_path / "picture")).frames) == [NUMBER]


@pytest.mark.parametrize("form", ["grey.png", "colour.png", "grey.tif", "colour.tif"])
def test_sixteen_bits_are_rounded(tmp_path, form):
    levels = np.arange(0, 65_536, 97, dtype=np.uint16)[None].repeat(4, axis=0)
    deep = levels if form.startswith("grey") else np.stack([levels, levels[:, ::-1], levels], axis=-1)
    cv2.imwrite(str(tmp_path / form), deep)
    found = read_video(str(tmp_path / form)).frames[0]
    rgb = deep[..., None].repeat(3, axis=-1) if form.startswith("grey") else deep[..., ::-1]
    np.testing.assert_array_equal(found, np.rint(rgb / 257).astype(np.uint8))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
def test_half_a_picture_is_an_error(tmp_path, kind):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, kind)
    (tmp_path / "half").write_bytes(file.getvalue()[: len(file.getvalue()) // 2])
    with pytest.raises(MediaError, match=r"half: (damaged or cut off|not a picture that is read)"):
        read_video(str(tmp_path / "half"))


@pytest.mark.parametrize("most", [None, 1])
def test_tiles_are_put_together(most):
    video = read_video(str(FILES / "grid.avif"), max_frames=most)
    assert video.frames.shape == (1, 144, 256, 3)
    header = read_header(str(FILES / "grid.avif"))
    assert (header.frames, header.height, header.width) == (1, 144, 256)


def test_a_picture_with_transparency_is_no_grid(tmp_path):
    pixels = np.dstack([picture(NUMBER), np.full((72, 128), 200, np.uint8)])
    save(tmp_path / "clear.avif", "AVIF", pixels, quality=95)
    assert numbers(read_video(str(tmp_path / "clear.avif")).frames) == [NUMBER]
