"""Real files: what is written plays back with the right frames, rate and colours; what is broken is refused."""

import io
import resource
import struct
from contextlib import contextmanager
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from airshower.configs.sizes import Size
from airshower.pipelines.decoding.errors import MediaError
from airshower.pipelines.media import read_video, write_video


def smooth_clip(frames=20, height=96, width=128):
    t, y, x = np.mgrid[:frames, :height, :width]
    waves = [np.sin(x / 30 + t / 6), np.sin(y / 25 - t / 7), np.cos((x + y) / 40 + t / 9)]
    return (127.5 + 110 * np.stack(waves, axis=-1)).round().astype(np.uint8)


def psnr_db(a, b):
    return 10 * np.log10(255**2 / max(np.mean((a.astype(float) - b) ** 2), 1e-9))


def encode(path, frames, codec, pixel_format):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixel_format
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def clip():
    return smooth_clip()


@pytest.fixture(scope="module")
def mp4(tmp_path_factory, clip):
    path = tmp_path_factory.mktemp("media") / "clip.mp4"
    write_video(path, clip, 24)
    return path


def test_round_trip_keeps_frames_rate_and_picture(mp4, clip):
    video = read_video(str(mp4))
    assert video.frames.shape == clip.shape
    assert video.frames.dtype == np.uint8
    assert (video.fps, video.source_height, video.source_width) == (24.0, *clip.shape[1:3])
    assert psnr_db(video.frames, clip) > 38


def test_opencv_decodes_the_same_pixels(mp4):
    capture = cv2.VideoCapture(str(mp4))
    for frame in read_video(str(mp4)).frames:
        found, bgr = capture.read()
        assert found
        assert np.abs(frame.astype(int) - bgr[..., ::-1]).max() <= 2
    assert not capture.read()[0]


def test_browsers_find_the_index_first_and_true_colours(tmp_path):
    path = tmp_path / "red.mp4"
    write_video(path, np.full((3, 64, 64, 3), (255, 0, 0), np.uint8), 24)
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    assert frame.format.name == "yuv420p"
    tags = (frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc)
    assert tags == (1, 1, 1, 1)  # BT.709, limited range
    luma = frame.to_ndarray()[32, 32]
    assert abs(int(luma) - (16 + 219 * 0.2126)) <= 1  # red in BT.709; BT.601 would give 81
    assert np.abs(read_video(str(path)).frames.astype(int) - (255, 0, 0)).max() <= 3


@pytest.mark.parametrize(("fps", "exact"), [(24000 / 1001, Fraction(24000, 1001)), (12.5, Fraction(25, 2)), (30, 30)])
def test_rates_are_exact(tmp_path, clip, fps, exact):
    write_video(tmp_path / "clip.mp4", clip[:5], fps)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert container.streams.video[0].average_rate == exact


def test_the_same_frames_always_give_the_same_bytes(tmp_path):
    # x264's AVX-512 code for macroblock trees gave six different files here.
    noise = np.random.default_rng(0).integers(-20, 20, (5, 144, 144, 3))
    y, x = np.mgrid[0:144, 0:144]
    ramps = np.stack([np.stack([x + 9 * t, y, x ^ y], axis=-1) % 256 for t in range(5)])
    frames = np.clip(ramps + noise, 0, 255).astype(np.uint8)
    files, memory = set(), []
    for size in range(60):
        memory.append(bytearray(3_001 * size))  # moves the encoder's buffers about
        write_video(tmp_path / "a.mp4", frames, 10)
        files.add((tmp_path / "a.mp4").read_bytes())
    assert len(files) == 1


def test_odd_sizes_lose_their_last_row_and_column(tmp_path):
    clip = smooth_clip(4, 65, 97)
    write_video(tmp_path / "odd.mp4", clip, 24)
    assert psnr_db(read_video(str(tmp_path / "odd.mp4")).frames, clip[:, :64, :96]) > 36


def test_an_open_file_can_be_the_target(clip):
    file = io.BytesIO()
    write_video(file, clip, 24)
    assert file.getvalue()[4:8] == b"ftyp"


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [("a.mkv", "libx265", "yuv420p10le"), ("a.webm", "libvpx-vp9", "yuv444p"), ("a.avi", "mjpeg", "yuvj422p")],
)
def test_other_codecs_containers_and_pixel_formats(tmp_path, clip, name, codec, pixel_format):
    encode(tmp_path / name, clip, codec, pixel_format)
    video = read_video(str(tmp_path / name))
    assert video.fps == pytest.approx(30)
    assert psnr_db(video.frames, clip) > 28


def test_a_turned_clip_stands_upright(tmp_path, mp4):
    content = bytearray(mp4.read_bytes())
    one = 1 << 16
    straight, turned = (one, 0, 0, 0, one), (0, one, 0, -one, 0)
    at = content.index(struct.pack(">5i", *straight), content.index(b"tkhd"))
    content[at : at + 20] = struct.pack(">5i", *turned)
    (tmp_path / "turned.mp4").write_bytes(content)
    video = read_video(str(tmp_path / "turned.mp4"))
    np.testing.assert_array_equal(video.frames, np.rot90(read_video(str(mp4)).frames, k=-1, axes=(1, 2)))


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_an_image_is_a_clip_of_one_frame(tmp_path, clip, suffix):
    path = tmp_path / f"image%02d.{suffix}"
    cv2.imwrite(str(path), clip[0, ..., ::-1])
    video = read_video(str(path))
    assert (video.frames.shape, video.fps) == ((1, *clip.shape[1:]), 24.0)
    assert psnr_db(video.frames, clip[:1]) > 35


def test_reading_stops_early_and_resizes_on_the_way(mp4):
    video = read_video(str(mp4), max_frames=3, fit=lambda height, width: Size(height // 2, width // 2))
    assert video.frames.shape == (3, 48, 64, 3)
    assert (video.source_height, video.source_width) == (96, 128)
    expected = [cv2.resize(f, (64, 48), interpolation=cv2.INTER_AREA) for f in read_video(str(mp4)).frames[:3]]
    np.testing.assert_array_equal(video.frames, expected)


def silence(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))


def half_of_a_matroska(path):
    encode(path, smooth_clip(60), "libx264", "yuv420p")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("empty.mp4", lambda path: path.touch(), r"empty \(0 bytes\)"),
        ("noise.mp4", lambda path: path.write_bytes(np.random.default_rng(0).bytes(9000)), "not a video"),
        ("notes.txt", lambda path: path.write_text("a street at dusk\n" * 99), "not a video"),
        ("sound.wav", silence, "holds sound alone"),
        ("half.mkv", half_of_a_matroska, r"truncated after \d+ frames"),
    ],
)
def test_files_that_are_no_whole_video_are_refused(tmp_path, name, make, message):
    path = tmp_path / name
    make(path)
    with pytest.raises(MediaError, match=message) as raised:
        read_video(str(path))
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


def test_a_cut_mp4_says_how_much_is_there_and_serves_what_is(tmp_path, mp4):
    path = tmp_path / "cut.mp4"
    content = mp4.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(MediaError, match=r"cut\.mp4: (truncated|damaged) after \d+ frames of 20"):
        read_video(str(path))
    assert len(read_video(str(path), max_frames=2).frames) == 2


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.mp4"):
        read_video(str(tmp_path / "gone.mp4"))


@contextmanager
def files_limited_to(size_bytes):
    """The kernel refuses to write beyond: the same way a full disk does."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_leaves_the_old_file_and_no_half_one(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"old")
    noise = np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3), np.uint8)
    with files_limited_to(20_000), pytest.raises(OSError, match=r"clip\.mp4: can't write the video .* free space"):
        write_video(path, noise, 24)
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == {"clip.mp4": b"old"}


def test_a_target_that_cannot_be_is_named(tmp_path, clip):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file/clip\.mp4: can't write the video \(Not a directory\)"):
        write_video(tmp_path / "file" / "clip.mp4", clip, 24)


@pytest.mark.parametrize(
    ("frames", "fps", "message"),
    [
        (np.zeros((2, 8, 8, 3), np.float32), 24, "expected uint8"),
        (np.zeros((0, 8, 8, 3), np.uint8), 24, "expected uint8"),
        (np.zeros((2, 1, 8, 3), np.uint8), 24, "2x2 pixels"),
        (np.zeros((2, 8, 8, 3), np.uint8), 0, "give a rate above 0"),
    ],
)
def test_what_cannot_be_encoded_is_refused(tmp_path, frames, fps, message):
    with pytest.raises(ValueError, match=message):
        write_video(tmp_path / "clip.mp4", frames, fps)
