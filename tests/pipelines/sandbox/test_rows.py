"""Rows' files read in sandboxes give what they give else; what is elsewhere is fetched, and every limit is one line."""

import fsspec
import numpy as np
import pytest

from airshower.configs.presets import preset
from airshower.configs.spec import ClipSpec
from airshower.pipelines.annotate import input_frames
from airshower.pipelines.decoding.errors import MediaError
from airshower.pipelines.decoding.limits import MediaLimits
from airshower.pipelines.prepare_row import prepare_row
from airshower.pipelines.sandbox.limits import SandboxLimits
from airshower.pipelines.sandbox.rows import SandboxedReading
from tests.pipelines.decoding.numbered import FRAMES, picture, write


def reading(fetched_bytes=1 << 20, **media):
    return SandboxedReading(
        media=MediaLimits(**{"clip_bytes": 64 << 20, **media}),
        sandbox=SandboxLimits(memory_bytes=1 << 30, timeout_s=120),
        fetched_bytes=fetched_bytes,
    )


def spec(**fields):
    row = {"name": "a", "prompt": "rain", "edge": {}} | fields
    return ClipSpec.model_validate(row).resolved(preset("tiny-transfer"))


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    write(folder / "a.mp4")
    write(folder / "black.mp4", pictures=[np.zeros((72, 128, 3), np.uint8)] * FRAMES)
    (folder / "masks").mkdir()
    for number in range(FRAMES):
        write(folder / "masks" / f"{number}.png", codec="png", pixel_format="rgb24", pictures=[picture(number)])
    return folder


@pytest.fixture
def remote(clips):
    """The clips as URLs that this process alone can reach."""
    files = fsspec.filesystem("memory")
    for path in (path for path in clips.rglob("*") if path.is_file()):
        files.pipe(f"/clips/{path.relative_to(clips)}", path.read_bytes())
    yield "memory://clips"
    files.rm("/clips", recursive=True)


def test_a_sandbox_changes_nothing(clips):
    row = spec(video_path=str(clips / "a.mp4"), edge={"mask_path": str(clips / "black.mp4")})
    prepared = reading().prepare(row)
    assert prepared == prepare_row(row)
    assert "covers nothing" in prepared.warnings[0]
    np.testing.assert_array_equal(reading().input_frames(row, 5), input_frames(row, 5))


def test_what_is_elsewhere_is_fetched_and_keeps_its_name(clips, remote):
    row = spec(video_path=f"{remote}/a.mp4", edge={"mask_path": f"{remote}/black.mp4"})
    local = prepare_row(spec(video_path=str(clips / "a.mp4"), edge={"mask_path": str(clips / "black.mp4")}))
    prepared = reading().prepare(row)
    assert (prepared.controls, prepared.masks) == (local.controls, local.masks)
    assert prepared.warnings == tuple(warning.replace(str(clips), remote) for warning in local.warnings)
    np.testing.assert_array_equal(reading().input_frames(row, 5), input_frames(row, 5))


def test_folders_are_fetched_with_their_files(clips, remote):
    row = {"name": "a", "prompt": "rain", "edge": {}, "video_path": str(clips / "a.mp4"), "resolution": "144"}
    row |= {"guided_generation_mask": f"{remote}/masks", "keep_input_resolution": False}
    guided = ClipSpec.model_validate(row).resolved(preset("transfer2.5-2b"))
    assert reading().prepare(guided).guided_region.frames == FRAMES


def test_what_goes_wrong_names_files_as_the_row_does(clips, remote):
    both = spec(video_path=f"{remote}/a.mp4", edge={"mask_path": f"{remote}/black.mp4"})
    room_for_one = reading(fetched_bytes=(clips / "a.mp4").stat().st_size + 100)
    with pytest.raises(ValueError, match=rf"^edge\.mask_path: {remote}/black\.mp4 is larger than what is fetched"):
        room_for_one.prepare(both)
    with pytest.raises(FileNotFoundError, match=rf"^{remote}/gone\.mp4 does not exist"):
        reading().prepare(spec(video_path=f"{remote}/gone.mp4"))
    fsspec.filesystem("memory").pipe("/clips/text.mp4", b"ffconcat version 1.0\n")
    with pytest.raises(MediaError, match=rf"^video_path: {remote}/text\.mp4: is a list that names other files"):
        reading().prepare(spec(video_path=f"{remote}/text.mp4"))


def test_a_file_of_more_frames_or_bytes_than_allowed_is_refused(clips):
    row = spec(video_path=str(clips / "a.mp4"))
    with pytest.raises(
        MediaError, match=r"a\.mp4: has 40 frames or more, and 8 are the most .* set max_frames to 8 or"
    ):
        reading(frames=8).prepare(row)
    assert reading(frames=8).prepare(spec(video_path=str(clips / "a.mp4"), max_frames=8)).frames == 8
    with pytest.raises(MediaError, match=r"a\.mp4: its 40 frames take .* set max_frames to 9 or less"):
        reading(clip_bytes=1 << 20).prepare(row)
