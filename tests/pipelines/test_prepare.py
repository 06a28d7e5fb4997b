"""From files to what the generator takes, in the published order of operations; misfits are named by their field."""

import cv2
import numpy as np
import pytest

from airshower.cluster.packing import unpack_frames
from airshower.configs.presets import preset
from airshower.configs.spec import ClipSpec
from airshower.models.edge_map import edge_map
from airshower.models.vis_map import vis_map
from airshower.pipelines.media import read_video, write_video
from airshower.pipelines.prepare import prepare_clip

FRAMES, HEIGHT, WIDTH = 10, 180, 320


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of a scene: a bright square that moves over a gradient, and what does not fit to it."""
    folder = tmp_path_factory.mktemp("clips")
    t, y, x = np.mgrid[: FRAMES + 4, :HEIGHT, :WIDTH]
    scene = np.stack([x * 200 // WIDTH, y * 200 // HEIGHT, np.full_like(x, 60)], axis=-1).astype(np.uint8)
    square = (abs(x - 60 - 12 * t) < 40) & (abs(y - 90) < 40)
    scene[square] = (250, 240, 200)
    labels = np.where(square[..., None], (255, 0, 0), (0, 0, 255)).astype(np.uint8)
    write_video(folder / "scene.mp4", scene[:FRAMES], 24)
    write_video(folder / "labels.mp4", labels[:FRAMES], 24)
    write_video(folder / "labels_long.mp4", labels, 24)
    write_video(folder / "labels_short.mp4", labels[: FRAMES - 3], 24)
    write_video(folder / "labels_30fps.mp4", labels[:FRAMES], 30)
    write_video(folder / "labels_ntsc.mp4", labels[:FRAMES], 24000 / 1001)
    write_video(folder / "square.mp4", np.repeat(square[..., None] * np.uint8(255), 3, axis=-1)[:FRAMES], 24)
    write_video(folder / "portrait.mp4", scene[:FRAMES].swapaxes(1, 2), 24)
    cv2.imwrite(str(folder / "image.png"), scene[0, ..., ::-1])
    (folder / "cut.mp4").write_bytes((folder / "scene.mp4").read_bytes()[:-2000])
    (folder / "empty.mp4").touch()
    return folder


def prepare(folder, **fields):
    """Prepares a row whose paths are names in the folder."""

    def place(value):
        if isinstance(value, dict):
            return {key: place(item) for key, item in value.items()}
        return str(folder / value) if isinstance(value, str) and value.endswith((".mp4", ".png")) else value

    spec = ClipSpec.model_validate({"name": "clip", "prompt": "a street", **place(fields)})
    return prepare_clip(spec.resolved(preset("tiny-transfer")))


def resized(path, interpolation, frames=FRAMES):
    return np.stack([cv2.resize(f, (256, 144), interpolation=interpolation) for f in read_video(str(path)).frames])[
        :frames
    ]


def test_missing_edges_and_blur_come_from_the_resized_input(folder):
    clip = prepare(
        folder,
        video_path="scene.mp4",
        show_input=True,
        vis={"preset_blur_strength": "low"},
        edge={"preset_edge_threshold": "very_low"},
    )
    expected = resized(folder / "scene.mp4", cv2.INTER_AREA)
    assert (clip.fps, clip.frames, clip.height, clip.width) == (24.0, FRAMES, 144, 256)
    assert (clip.input_height, clip.input_width) == (HEIGHT, WIDTH)
    assert list(clip.controls) == ["edge", "vis"]
    np.testing.assert_array_equal(unpack_frames(clip.input_frames), expected)
    np.testing.assert_array_equal(unpack_frames(clip.controls["edge"]), edge_map(expected, "very_low"))
    np.testing.assert_array_equal(unpack_frames(clip.controls["vis"]), vis_map(expected, "low"))


def test_of_an_input_that_is_only_shown_no_frames_travel(folder):
    clip = prepare(folder, video_path="scene.mp4", edge={})
    assert clip.input_frames is None
    shown = cv2.VideoCapture()
    (folder / "shown.mp4").write_bytes(clip.shown_input)
    assert shown.open(str(folder / "shown.mp4"))
    assert (shown.get(cv2.CAP_PROP_FRAME_COUNT), shown.get(cv2.CAP_PROP_FRAME_WIDTH)) == (FRAMES, 256)


@pytest.mark.parametrize(
    ("key", "interpolation"),
    [
        ("edge", cv2.INTER_LINEAR),
        ("vis", cv2.INTER_AREA),
        ("depth", cv2.INTER_LINEAR),
        ("seg", cv2.INTER_NEAREST),
    ],
)
def test_given_controls_are_resized_as_published(folder, key, interpolation):
    clip = prepare(folder, video_path="scene.mp4", **{key: {"control_path": "labels.mp4"}})
    expected = resized(folder / "labels.mp4", interpolation)
    np.testing.assert_array_equal(unpack_frames(clip.controls[key]), expected)


def test_masks_are_black_or_white(folder):
    clip = prepare(folder, video_path="scene.mp4", edge={"mask_path": "square.mp4"})
    mask = unpack_frames(clip.masks["edge"])
    expected = resized(folder / "square.mp4", cv2.INTER_LINEAR)[..., :1] > 127.5
    np.testing.assert_array_equal(mask, np.where(expected, 255, 0).repeat(3, axis=-1))
    assert 0.05 < (mask > 0).mean() < 0.3


def test_without_input_the_first_control_leads(folder):
    clip = prepare(folder, depth={"control_path": "portrait.mp4"}, seg={"control_path": "labels.mp4"}, max_frames=5)
    assert (clip.frames, clip.height, clip.width) == (5, 256, 144)
    assert (clip.input_height, clip.input_width) == (WIDTH, HEIGHT)
    assert (clip.input_frames, clip.shown_input) == (None, None)
    assert clip.controls["seg"].frames == 5


def test_longer_controls_are_cut_and_close_rates_go_together(folder):
    assert prepare(folder, video_path="scene.mp4", seg={"control_path": "labels_long.mp4"}).frames == FRAMES
    assert prepare(folder, video_path="scene.mp4", seg={"control_path": "labels_ntsc.mp4"}).fps == 24.0


def test_an_image_goes_with_controls_of_any_rate(folder):
    clip = prepare(folder, video_path="image.png", edge={}, seg={"control_path": "labels_30fps.mp4"})
    assert (clip.frames, clip.controls["seg"].frames) == (1, 1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"seg": {"control_path": "labels_short.mp4"}},
            r"seg\.control_path: .*labels_short\.mp4 has 7 frames and video_path 10: .* set max_frames to 7",
        ),
        (
            {"seg": {"control_path": "labels_30fps.mp4"}},
            r"seg\.control_path: .* runs at 30 fps and video_path at 24 fps",
        ),
        ({"edge": {"mask_path": "labels_short.mp4"}}, r"edge\.mask_path: .* has 7 frames"),
        ({"edge": {"mask_path": "labels_30fps.mp4"}}, r"edge\.mask_path: .* runs at 30 fps"),
        ({"vis": {"control_path": "empty.mp4"}}, r"vis\.control_path: .*empty\.mp4: the file is empty"),
        ({"edge": {}, "video_path": "cut.mp4"}, r"video_path: .*cut\.mp4: (truncated|damaged)"),
    ],
)
def test_misfits_name_field_file_rule_and_remedy(folder, fields, message):
    with pytest.raises(ValueError, match=message) as raised:
        prepare(folder, **{"video_path": "scene.mp4", **fields})
    assert "\n" not in str(raised.value)


def test_a_missing_file_names_its_field(folder):
    with pytest.raises(FileNotFoundError, match=r"depth\.control_path: .*gone\.mp4"):
        prepare(folder, video_path="scene.mp4", depth={"control_path": "gone.mp4"})


def test_an_unresolved_spec_is_refused():
    spec = ClipSpec(name="clip", prompt="a street", video_path="scene.mp4", edge={})
    with pytest.raises(ValueError, match="resolve the spec"):
        prepare_clip(spec)
