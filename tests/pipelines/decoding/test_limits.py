"""What a file may ask for is bounded before it is decoded, by what it announces, and while it is, by what comes."""

import gc
import io
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from airshower.configs.sizes import Size
from airshower.pipelines.decoding.depth_maps import read_depth
from airshower.pipelines.decoding.errors import MediaError
from airshower.pipelines.decoding.frames import Decoder
from airshower.pipelines.decoding.limits import MediaLimits, machine_memory_bytes
from airshower.pipelines.decoding.source import Reading
from airshower.pipelines.media import read_header, read_video
from tests.pipelines.decoding.numbered import FRAMES, HEIGHT, WIDTH, write

FILES = Path(__file__).parent / "files"
LARGE = Size(1056, 1920)


def limited(**limits):
    return Reading(limits=MediaLimits(**limits))


def test_the_default_is_a_share_of_this_machine():
    assert 0 < MediaLimits().clip_bytes < machine_memory_bytes() / 2


@pytest.mark.parametrize("name", ["long.mp4", "long.mkv"])
def test_a_small_file_of_many_frames_is_refused_with_what_would_fit(tmp_path, name):
    write(tmp_path / name)
    reading = limited(clip_bytes=10 * 3 * LARGE.height * LARGE.width)
    with pytest.raises(MediaError, match=r"its \d+ frames take 0\.\d GiB at 1920x1056, and .* set max_frames to 10 or"):
        read_video(str(tmp_path / name), fit=lambda *_: LARGE, reading=reading)
    assert len(read_video(str(tmp_path / name), fit=lambda *_: LARGE, max_frames=10, reading=reading).frames) == 10


def test_more_frames_than_are_read_are_refused(tmp_path):
    write(tmp_path / "a.mp4")
    with pytest.raises(
        MediaError, match=r"a\.mp4: has 40 frames or more, and 10 are the most .*: set max_frames to 10 or"
    ):
        read_video(str(tmp_path / "a.mp4"), reading=limited(frames=10))
    assert len(read_video(str(tmp_path / "a.mp4"), max_frames=10, reading=limited(frames=10)).frames) == 10


@pytest.mark.parametrize("form", [".png", ".tif"])
def test_depth_that_is_too_large_is_refused_before_it_is_decoded(tmp_path, form):
    (tmp_path / "depth").write_bytes(cv2.imencode(form, np.zeros((2000, 3000), np.uint16))[1].tobytes())
    with pytest.raises(MediaError, match="depth: its pictures have 3000x2000 pixels, and 1 million are the most"):
        read_depth(str(tmp_path / "depth"), most=None, values=None, limits=MediaLimits(frame_px=1_000_000))


def test_a_lack_of_memory_is_told_with_the_file():
    line = r"^/.*asks_for_gigabytes\.mp4: takes more memory than there is here: make it smaller, or set max_frames"
    for read in (read_video, read_header):
        with pytest.raises(MediaError, match=line):
            read(str(FILES / "asks_for_gigabytes.mp4"))
    frames = Decoder(None, None, "in", 24)
    with pytest.raises(MemoryError):
        frames._require_damage(av.error.MemoryError(12, "no memory"))


def test_frames_are_gone_once_they_are_converted(tmp_path):
    write(tmp_path / "a.mp4")
    gc.collect()
    gc.disable()  # what only a collection would find
    try:
        before = living_frames()
        read_video(str(tmp_path / "a.mp4"))
        assert living_frames() - before <= 2
    finally:
        gc.enable()


def living_frames():
    return sum(isinstance(one, av.VideoFrame) for one in gc.get_objects())


def test_a_header_that_announces_little_is_not_believed(tmp_path):
    write(tmp_path / "a.m2v", codec="mpeg2video", file_format="mpeg2video", rate=25)  # which announces nothing
    reading = limited(clip_bytes=10 * 3 * HEIGHT * WIDTH)
    with pytest.raises(MediaError, match=r"its 11 frames take .* set max_frames to 10 or less"):
        read_video(str(tmp_path / "a.m2v"), reading=reading)


def test_a_header_that_announces_too_much_costs_nothing(tmp_path):
    write(tmp_path / "slots.avi", codec="mpeg4", times=lambda place: place * 600)  # 24,000 slots
    video = read_video(str(tmp_path / "slots.avi"))
    assert len(video.frames) == FRAMES


def test_frames_far_apart_in_time_do_not_fill_the_memory(tmp_path):
    write(tmp_path / "far.mkv", times=lambda place: place if place < 2 else 10**8)
    with pytest.raises(MediaError, match=r"set max_frames to|missing"):
        read_video(str(tmp_path / "far.mkv"), reading=limited(clip_bytes=2**26))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_large_pictures_are_refused_before_they_are_decoded(tmp_path, kind):
    file = io.BytesIO()
    Image.new("L", (3000, 2000)).save(file, kind)
    (tmp_path / "large").write_bytes(file.getvalue())
    with pytest.raises(MediaError, match="its pictures have 3000x2000 pixels, and 1 million are the most"):
        read_video(str(tmp_path / "large"), reading=limited(frame_px=1_000_000))


def test_large_frames_are_refused_before_they_are_decoded(tmp_path):
    write(tmp_path / "large.mp4", rate=Fraction(24), pictures=[np.zeros((1000, 1200, 3), np.uint8)] * 2)
    with pytest.raises(MediaError, match="its pictures have 1200x1000 pixels"):
        read_video(str(tmp_path / "large.mp4"), reading=limited(frame_px=1_000_000))
