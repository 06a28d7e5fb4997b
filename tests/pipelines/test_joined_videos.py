"""Joined videos: the same frames at the right times, whatever their lengths, and nothing that doesn't fit."""

import io

import av
import numpy as np
import pytest

from airshower.pipelines.joined_videos import join_videos
from airshower.pipelines.media import read_video, write_video


def video(seed: int, frames: int, fps: float = 29.97, width: int = 64) -> bytes:
    squares = np.random.default_rng(seed).integers(0, 256, (6, width // 8, 3), dtype=np.uint8)
    picture = squares.repeat(8, 0).repeat(8, 1)
    file = io.BytesIO()
    write_video(file, np.stack([np.roll(picture, number, axis=1) for number in range(frames)]), fps)
    return file.getvalue()


def test_frames_and_times_are_those_of_the_parts(tmp_path):
    # clips of one or two frames are decoded without delay, longer ones reorder frames
    lengths = (9, 1, 5, 2, 33)
    parts = [(video(number, frames), frames) for number, frames in enumerate(lengths)]
    join_videos(parts, 29.97, tmp_path / "all.mp4")
    expected = []
    for data, _ in parts:
        (tmp_path / "one.mp4").write_bytes(data)
        expected.append(read_video(str(tmp_path / "one.mp4")).frames)
    joined = read_video(str(tmp_path / "all.mp4"))
    assert joined.fps == pytest.approx(29.97)
    assert np.array_equal(joined.frames, np.concatenate(expected))
    with av.open(str(tmp_path / "all.mp4")) as container:
        times = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
    assert np.allclose(times, np.arange(sum(lengths)) / 29.97, atol=1e-6)


@pytest.mark.parametrize("other", [{"width": 72}, {"fps": 24}])
def test_videos_that_are_not_alike_are_refused(tmp_path, other):
    with pytest.raises(ValueError, match="different settings"):
        join_videos([(video(0, 5), 5), (video(1, 5, **other), 5)], 29.97, tmp_path / "all.mp4")
