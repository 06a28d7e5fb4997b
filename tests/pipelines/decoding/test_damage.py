"""Damage is an error, whatever a decoder makes of it; kept where that is asked for, and the frames are named."""

import re
from pathlib import Path

import numpy as np
import pytest

from airshower.pipelines.decoding.errors import MediaError
from airshower.pipelines.decoding.source import Reading
from airshower.pipelines.media import read_video
from tests.pipelines.decoding.numbered import FRAMES, GOP, numbers, write

FILES = Path(__file__).parent / "files"
QUIET = {"x265-params": "log-level=none:pools=1:frame-threads=1"}
KEPT = Reading(keep_damaged=True)
CODECS = {
    "h264.mp4": {},
    "h264.mkv": {},
    "h264.ts": {},
    "hevc.mp4": {"codec": "libx265", "options": QUIET},
    "mpeg4.avi": {"codec": "mpeg4"},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
}


def lost(packet):
    return packet not in (13, 14, 15)


def with_wrong_bytes(path, share=0.5):
    """The file with some bytes of its middle overwritten."""
    content = bytearray(path.read_bytes())
    place = int(len(content) * share)
    content[place : place + 24] = bytes(24)
    path.write_bytes(content)


@pytest.mark.parametrize("name", CODECS)
def test_lost_packets_are_damage(tmp_path, name):
    write(tmp_path / name, **CODECS[name], keep=lost)
    if name.endswith("avi"):  # in which a lost frame looks like a slot that was left empty
        assert "1 gap between its frames" in read_video(str(tmp_path / name)).notes[0]
        return
    with pytest.raises(MediaError, match=r"(frames? missing|damaged after).*keep_damaged_frames"):
        read_video(str(tmp_path / name))


@pytest.mark.parametrize("name", ["h264.mp4", "h264.mkv", "h264.ts", "mpeg4.avi"])  # other decoders notice less
def test_wrong_bytes_are_damage(tmp_path, name):
    write(tmp_path / name, **CODECS[name])
    with_wrong_bytes(tmp_path / name)
    with pytest.raises(MediaError, match=rf"{name}: (damaged after|\d+ frames? missing|truncated)"):
        read_video(str(tmp_path / name))


@pytest.mark.parametrize("name", ["corrupt1.mp4", "corrupt5.mp4", "lostmid.mp4"])
def test_what_decoders_conceal_is_damage(name):
    with pytest.raises(MediaError, match=rf"{name}: (damaged after|5 frames missing \(5 at 1\.25 s\))"):
        read_video(str(FILES / name))


def test_damaged_frames_are_kept_and_named_where_that_is_asked_for(tmp_path):
    write(tmp_path / "lost.mp4", keep=lost)
    video = read_video(str(tmp_path / "lost.mp4"), reading=KEPT)
    found = numbers(video.frames)
    assert found[:13] == [*range(13)]
    assert found[20:] == [*range(20, FRAMES)]  # from the next key frame on
    assert len(found) == FRAMES
    assert video.notes[0] == (
        "3 frames missing (3 at 0.54 s); the frame before is shown instead; frames that may be damaged were kept: 16-19"
    )


def test_every_frame_that_differs_is_named(tmp_path):
    """Of files with wrong bytes, no frame outside of those that are named differs from the intact one."""
    write(tmp_path / "whole.mp4")
    whole = read_video(str(tmp_path / "whole.mp4")).frames.astype(int)
    content = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "wrong.mp4").write_bytes(content)
    with_wrong_bytes(tmp_path / "wrong.mp4")
    video = read_video(str(tmp_path / "wrong.mp4"), reading=KEPT)
    assert len(video.frames) == FRAMES
    differing = {frame for frame in range(FRAMES) if np.abs(video.frames[frame] - whole[frame]).max() > 8}
    assert differing
    assert len(differing) <= GOP
    assert differing <= named(" ".join(video.notes))


def named(words):
    """Frames that notes name, as damaged or as missing."""
    frames = set()
    for first, last in re.findall(r"(\d+)(?:-(\d+))?(?=[,;]|$| and)", words.partition("kept: ")[2]):
        frames |= {*range(int(first), int(last or first) + 1)}
    for count, second in re.findall(r"(\d+) at ([\d.]+) s", words):
        start = round(float(second) * 24)
        frames |= {*range(start, start + int(count))}
    return frames


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("cut.mkv", {}),
        ("cut.webm", {"codec": "libvpx", "options": {"deadline": "realtime"}}),
        ("cut.mp4", {"file_options": {"movflags": "faststart"}}),
        ("cut_fragments.mp4", {"file_options": {"movflags": "frag_keyframe+empty_moov"}}),
        ("cut.avi", {"codec": "mpeg4"}),
    ],
)
def test_a_file_that_is_cut_off_says_so(tmp_path, name, how):
    write(tmp_path / name, **how)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) * 4 // 5])
    with pytest.raises(MediaError, match=rf"{name}: truncated after \d+ frames?.*, [\d,]+ bytes are missing"):
        read_video(str(tmp_path / name))
    assert numbers(read_video(str(tmp_path / name), max_frames=8).frames) == [*range(8)]
    kept = read_video(str(tmp_path / name), reading=KEPT)
    assert numbers(kept.frames)[:8] == [*range(8)]
    assert "is cut off, and its" in kept.notes[-1]


def test_a_file_without_its_index_is_told_from_what_is_no_video(tmp_path):
    write(tmp_path / "cut.mp4")
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "cut.mp4").read_bytes()[:900])
    with pytest.raises(MediaError, match=r"cut\.mp4: a video that is damaged, or cut off before its index"):
        read_video(str(tmp_path / "cut.mp4"))
