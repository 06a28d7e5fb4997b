"""Every form of file gives its frames, each once and in order, at its rate, whatever the number of decoder threads."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from airshower.pipelines.decoding.errors import MediaError
from airshower.pipelines.decoding.source import Reading
from airshower.pipelines.media import read_header, read_video
from tests.pipelines.decoding.numbered import (
    FRAMES,
    HEIGHT,
    WIDTH,
    attachment,
    cover,
    cover_jpeg,
    numbers,
    subtitles,
    time_code,
    write,
)

FILES = Path(__file__).parent / "files"
FAST = {"deadline": "realtime", "cpu-used": "8"}
QUIET = {"x265-params": "log-level=none:pools=1:frame-threads=1"}
ALL = [*range(FRAMES)]
SLOTS = [slot for slot in range(FRAMES + 4) if slot not in (12, 13, 14, 20)]
VARIES = [0, 1, 3, 6]  # times of four frames, of nine


def held(place):
    return VARIES[place % 4] + 9 * (place // 4)


HELD = [last for last in range(FRAMES - 1) for _ in range(held(last + 1) - held(last))] + [FRAMES - 1]


def as_segments(folder, **how):
    """The second of several files of a recording."""
    write(folder / "part%d.mkv", file_format="segment", file_options={"segment_time": "0.4", **how})


def hls(folder):
    """An HLS segment behind its initialisation section."""
    where = {"hls_time": "0.4", "hls_segment_type": "fmp4", "hls_list_size": "0"}
    write(
        folder / "list.m3u8", file_format="hls", file_options={**where, "hls_segment_filename": f"{folder}/part%d.m4s"}
    )
    (folder / "part1.mkv").write_bytes((folder / "init.mp4").read_bytes() + (folder / "part1.m4s").read_bytes())


def beside(width, height, default):
    """A second, empty picture track before the first, of another size."""

    def setup(container, stream):
        del stream
        other = container.add_stream("mpeg4", rate=24)
        other.height, other.width, other.pix_fmt = height, width, "yuv420p"
        other.disposition = av.stream.Disposition.default if default else av.stream.Disposition(0)
        frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 200, np.uint8), format="rgb24")
        frame.pts = 0
        return [*other.encode(frame), *other.encode()]

    return setup


# Name, how it is written, frames, rate, a word of what is said of it.
MADE = [
    ("sound.mp4", {"sound": "aac"}, ALL, 24, ""),
    ("sound.mov", {"sound": "pcm_s16le"}, ALL, 24, ""),
    ("sound.avi", {"sound": "pcm_s16le", "codec": "mpeg4"}, ALL, 24, ""),
    ("sound_first.mp4", {"sound": "aac", "sound_first": True}, ALL, 24, ""),
    ("sound_first.mkv", {"sound": "libopus", "sound_first": True}, ALL, 24, ""),
    ("sound_first.webm", {"sound": "libopus", "sound_first": True, "codec": "libvpx-vp9", "options": FAST}, ALL, 24,
     ""),
    ("time_code.mov", {"setup": time_code}, ALL, 24, ""),
    ("time_code.mxf", {"setup": time_code, "codec": "mpeg2video", "rate": 25}, ALL, 25, ""),
    ("subtitles.mkv", {"setup": subtitles("subrip")}, ALL, 24, ""),
    ("subtitles.mp4", {"setup": subtitles("mov_text"), "sound": "aac"}, ALL, 24, ""),
    ("data.ts", {"setup": lambda container, _: container.add_data_stream() and None}, ALL, 24, ""),
    ("cover.mp4", {"setup": cover}, ALL, 24, ""),
    ("cover.mkv", {"setup": attachment}, ALL, 24, ""),
    ("small_preview.mkv", {"setup": beside(64, 32, default=False)}, ALL, 24, ""),
    ("offset.mkv", {"times": lambda place: place + 240}, ALL, 24, ""),
    ("offset.ts", {"times": lambda place: place + 2400}, ALL, 24, ""),
    ("offset.webm", {"times": lambda place: place + 99, "codec": "libvpx", "options": FAST}, ALL, 24, ""),
    ("fragments.mp4", {"file_options": {"movflags": "frag_keyframe+empty_moov"}}, ALL, 24, ""),
    ("no_key_frame_first.mkv", {"keep": lambda packet: packet >= 3}, ALL[10:], 24, ""),
    ("no_key_frame_first.ts", {"keep": lambda packet: packet >= 3}, ALL[10:], 24, ""),
    ("edit_list.mp4", {"times": lambda place: place - 10}, ALL[10:], 24, ""),
    ("slots.avi", {"codec": "mpeg4", "times": SLOTS.__getitem__}, ALL, 24, "2 gaps between its frames"),
    ("slots_mjpeg.avi", {"codec": "mjpeg", "pixel_format": "yuvj420p", "times": SLOTS.__getitem__}, ALL, 24, "2 gaps"),
    ("varies.mp4", {"times": held}, HELD, 24, "rate that varies, and was brought to 24 fps"),
    ("varies.mkv", {"times": held}, HELD, 24, "rate that varies"),
    ("jitters.mp4", {"times": lambda place: place * 3000 + (0, 700, -500, 0)[place % 4], "rate": 30,
                     "time_base": Fraction(1, 90_000)}, ALL, 29.95, ""),
    ("ntsc.mkv", {"rate": Fraction(30_000, 1001)}, ALL, 30_000 / 1001, ""),
    ("film.ts", {"rate": Fraction(24_000, 1001)}, ALL, 24_000 / 1001, ""),
    ("fast.flv", {"rate": 120}, ALL, 120, ""),
    ("slow.mp4", {"rate": Fraction(25, 2)}, ALL, 12.5, ""),
    ("reordered.asf", {"rate": 30, "file_format": "asf"}, ALL, 30, ""),
    ("windows.wmv", {"rate": 30, "codec": "wmv2"}, ALL, 30, ""),
    ("raw.h264", {"rate": 25, "file_format": "h264"}, ALL, 25, ""),
    ("raw.m2v", {"rate": 30, "codec": "mpeg2video", "file_format": "mpeg2video"}, ALL, 30, ""),
    ("raw.y4m", {"codec": "wrapped_avframe", "file_format": "yuv4mpegpipe"}, ALL, 24, ""),
    ("program.mpg", {"rate": 25, "codec": "mpeg2video", "file_format": "mpeg"}, ALL, 25, ""),
    ("moving.gif", {"rate": 20, "codec": "gif", "pixel_format": "rgb8"}, ALL, 20, ""),
    ("moving.png", {"codec": "apng", "pixel_format": "rgb24", "file_format": "apng"}, ALL, 24, ""),
    ("hevc.mp4", {"codec": "libx265", "options": QUIET}, ALL, 24, ""),
    ("prores.mov", {"codec": "prores_ks", "pixel_format": "yuv422p10le"}, ALL, 24, ""),
    ("lossless.mkv", {"codec": "ffv1"}, ALL, 24, ""),
    ("woven.mp4", {"rate": 25, "options": {"x264-params": "tff=1"}}, ALL, 25, "interlaced, and was made progressive"),
    ("woven.ts", {"rate": 25, "codec": "mpeg2video", "options": {"flags": "+ildct+ilme"}}, ALL, 25, "interlaced"),
]  # fmt: skip
GIVEN = [  # made by FFmpeg's and others' programs
    ("timecode.mov", [*range(100)], 24, ""),
    ("cover.mp4", [*range(100)], 24, ""),
    ("coverfirst.mkv", [*range(100)], 24, ""),
    ("twotracks.mp4", [*range(100)], 24, ""),
    ("offset.mkv", [*range(100)], 24, ""),
    ("segment_1.mkv", [*range(24, 48)], 24, ""),
    ("hls_init_and_segment_2.mp4", [*range(48, 72)], 24, ""),
    ("midgop2.mkv", [*range(24, 100)], 24, ""),
    ("nobf.avi", [*range(100)], 30, ""),
    ("dropavi.avi", [*range(41), *range(44, 100, 4)], 30, "14 gaps between its frames"),
    ("a.ogv", [*range(100)], 30, ""),
    ("h264.asf", [*range(100)], 30, ""),
]


def check(path, frames, rate, words):
    """The file's frames and rate, by `read_video` and `read_header`, with one and with many threads."""
    videos = [read_video(str(path), reading=Reading(threads=threads)) for threads in (1, 2, 4, 8, 16)]
    video = videos[0]
    assert numbers(video.frames) == frames
    assert video.fps == pytest.approx(float(rate), rel=1e-3)
    for other in videos[1:]:
        np.testing.assert_array_equal(other.frames, video.frames)
    assert (words in "".join(video.notes)) if words else not video.notes
    header = read_header(str(path))
    assert (header.frames, header.fps) == (len(frames), video.fps)
    assert (header.height, header.width) == (video.source_height, video.source_width)


@pytest.mark.parametrize(("name", "how", "frames", "rate", "words"), MADE, ids=[made[0] for made in MADE])
def test_a_file_gives_its_frames(tmp_path, name, how, frames, rate, words):
    write(tmp_path / name, **how)
    check(tmp_path / name, frames, rate, words)


@pytest.mark.parametrize(("name", "frames", "rate", "words"), GIVEN, ids=[given[0] for given in GIVEN])
def test_files_of_others_do_as_well(name, frames, rate, words):
    check(FILES / name, frames, rate, words)


@pytest.mark.parametrize(
    "make",
    [as_segments, lambda folder: as_segments(folder, segment_format="mp4"),
     lambda folder: as_segments(folder, segment_format="mpegts"), hls],
    ids=["mkv", "mp4", "ts", "hls"],
)  # fmt: skip
def test_a_piece_of_a_recording_is_a_video(tmp_path, make):
    make(tmp_path)
    check(tmp_path / "part1.mkv", ALL[10:20], 24, "")


def test_a_clip_that_ends_early_never_sees_what_comes_later(tmp_path):
    write(tmp_path / "long.mp4", times=lambda place: place if place < 30 else place + 5)
    assert numbers(read_video(str(tmp_path / "long.mp4"), max_frames=30).frames) == ALL[:30]


@pytest.mark.parametrize("name", ["cover.m4a", "cover.mka"])
def test_sound_with_a_cover_is_no_video(tmp_path, name):
    with av.open(str(tmp_path / name), "w", format="ipod" if name.endswith("m4a") else "matroska") as container:
        stream = container.add_stream("aac", rate=48_000, layout="mono")
        if name.endswith("mka"):
            container.add_attachment("cover.jpg", "image/jpeg", cover_jpeg())
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate = 48_000
        container.mux([*stream.encode(frame), *stream.encode()])
    with pytest.raises(MediaError, match=r"no video stream in it, it holds (sound|a cover and sound): give"):
        read_video(str(tmp_path / name))


def test_pixels_that_are_not_square_are_stretched(tmp_path):
    def wide(_, stream):
        stream.sample_aspect_ratio = Fraction(3, 2)

    write(tmp_path / "wide.mp4", setup=wide)
    video = read_video(str(tmp_path / "wide.mp4"), max_frames=3)
    assert video.frames.shape == (3, HEIGHT, WIDTH * 3 // 2, 3)
    assert (video.source_height, video.source_width) == (HEIGHT, WIDTH * 3 // 2)
    assert numbers(video.frames) == [0, 1, 2]
    assert "pixels of 3:2" in video.notes[0]


def test_woven_fields_are_taken_apart(tmp_path):
    """A bar that moves by 12 pixels from field to field stands at two places of a woven frame, at one of a true one."""
    fields = [np.zeros((64, 192, 3), np.uint8) for _ in range(16)]
    for number, field in enumerate(fields):
        field[:, 12 * number : 12 * number + 12] = 255
    pairs = zip(fields[::2], fields[1::2], strict=True)
    woven = [np.stack([top[::2], bottom[1::2]], axis=1).reshape(top.shape) for top, bottom in pairs]
    write(tmp_path / "woven.ts", rate=25, codec="mpeg2video", options={"flags": "+ildct+ilme", "qscale": "1"},
          pictures=woven)  # fmt: skip
    frames = read_video(str(tmp_path / "woven.ts")).frames.astype(int)[1:-1, 8:-8, :, 0]
    between_lines = np.abs(np.diff(frames, axis=1)).mean()
    assert between_lines < 0.2 * np.abs(np.diff(np.stack(woven)[1:-1, 8:-8, :, 0].astype(int), axis=1)).mean()
