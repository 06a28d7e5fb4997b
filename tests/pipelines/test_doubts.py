"""What can hardly be meant is said once per file, and ordinary rows are let alone."""

import re

import cv2
import numpy as np
import pytest

from airshower.configs.presets import preset
from airshower.configs.spec import ClipSpec
from airshower.pipelines.decoding.errors import MediaError
from airshower.pipelines.media import write_video
from airshower.pipelines.prepare import prepare_clip
from tests.pipelines.decoding.numbered import picture, write

FRAMES, HEIGHT, WIDTH = 4, 72, 128
SCENE = np.stack([picture(number) for number in range(FRAMES)])
MASK = np.zeros((FRAMES, HEIGHT, WIDTH, 3), np.uint8)
MASK[:, 20:50, 30:90] = 255


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("doubts")
    write_video(folder / "scene.mp4", SCENE, 24)
    write_video(folder / "wide.mp4", SCENE[:, :40], 24)
    write_video(folder / "tall.mp4", SCENE.swapaxes(1, 2), 24)
    write_video(folder / "mask.mp4", MASK, 24)
    write_video(folder / "black.mp4", 0 * MASK, 24)
    write_video(folder / "white.mp4", 0 * MASK + 255, 24)
    write(folder / "ones.mkv", codec="ffv1", pictures=MASK // 255, pixel_format="bgr0")
    blue = MASK * np.array([0, 0, 1], np.uint8)
    write(folder / "blue.mkv", codec="ffv1", pictures=blue, pixel_format="bgr0")
    noisy = np.clip(MASK + np.random.default_rng(0).integers(-9, 9, MASK.shape), 0, 255).astype(np.uint8)
    write_video(folder / "noisy.mp4", noisy, 24, crf=40)
    write_video(folder / "edges.mp4", np.repeat(SCENE[..., :1] // 200 * 255, 3, axis=-1), 24)
    write_video(folder / "inverted_edges.mp4", 255 - MASK, 24)
    write_video(folder / "dim.mp4", np.repeat(SCENE[..., :1] // 12, 3, axis=-1), 24)
    colours = cv2.applyColorMap(SCENE[0, ..., 0], cv2.COLORMAP_JET)
    write_video(folder / "rainbow.mp4", np.stack([colours] * FRAMES), 24)
    for name, pixels in (("ones", MASK // 255), ("blue", blue)):
        (folder / name).mkdir()
        for number, frame in enumerate(pixels):
            cv2.imwrite(str(folder / name / f"{number}.png"), frame[..., ::-1])
    np.savez(folder / "labels.npz", MASK[..., 0] // 255)
    np.savez(folder / "last_axis.npz", np.moveaxis(MASK[..., 0] // 255, 0, -1))
    np.savez(folder / "square.npz", np.pad(np.ones((FRAMES, 32, 32), int), ((0, 0), (9, 9), (9, 9))))
    np.savez(folder / "nothing.npz", 0 * MASK[..., 0])
    return folder


def warnings(folder, **fields):
    """What is said of a row whose files are names in the folder."""

    def placed(value):
        if isinstance(value, dict):
            return {key: placed(item) for key, item in value.items()}
        return str(folder / value) if isinstance(value, str) and (folder / value).exists() else value

    row = {"name": "a", "prompt": "a street", "video_path": "scene.mp4", "edge": {}, **fields}
    spec = ClipSpec.model_validate(placed(row)).resolved(preset("tiny-transfer"))
    return prepare_clip(spec).warnings


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"vis": {}},
        {"edge": {"control_path": "edges.mp4"}},
        {"edge": {"mask_path": "mask.mp4"}},
        {"edge": {"mask_path": "noisy.mp4"}},
        {"seg": {"control_path": "rainbow.mp4"}},
        {"guided_generation_mask": "mask.mp4"},
        {"guided_generation_mask": "labels.npz"},
    ],
)
def test_ordinary_rows_are_let_alone(folder, fields):
    assert warnings(folder, **fields) == ()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"edge": {"mask_path": "black.mp4"}}, r"edge.mask_path: .*black.mp4 covers nothing: it is black throughout"),
        ({"edge": {"mask_path": "white.mp4"}}, r"edge.mask_path: .*white.mp4 covers everything, as if there were no"),
        ({"edge": {"mask_path": "ones.mkv"}}, r"covers nothing: its brightest value is 1, and it counts from 128 to"),
        ({"edge": {"mask_path": "blue.mkv"}}, r"covers nothing: its red channel counts, which is dark where it is"),
        (
            {"guided_generation_mask": "ones"},
            r"guided_generation_mask: .*ones covers nothing: its brightest value is 1",
        ),
        ({"guided_generation_mask": "blue"}, r"guided_generation_mask: .*blue covers nothing: its red channel counts"),
        ({"guided_generation_mask": "nothing.npz"}, r"nothing.npz covers nothing: no label but 0 is in it"),
        (
            {"guided_generation_mask": "labels.npz", "guided_generation_foreground_labels": [3, 4]},
            r"labels.npz covers nothing: none of the labels 3, 4 is in it",
        ),
        ({"guided_generation_mask": "square.npz"}, r"is 50x50 and the input 128x72, another shape: it is stretched"),
        ({"edge": {"mask_path": "tall.mp4"}}, r"is 72x128 and video_path 128x72, another shape"),
        (
            {"depth": {"control_path": "dim.mp4"}},
            r"depth.control_path: .*dim.mp4 uses the levels \d+ to \d+ of 0 to 255",
        ),
        ({"vis": {"control_path": "black.mp4"}}, r"vis.control_path: .*shows one colour throughout, \(0, 0, 0\)"),
        ({"depth": {"control_path": "rainbow.mp4"}}, r"depth.control_path: .* is in colour, and depth is read as grey"),
        (
            {"edge": {"control_path": "inverted_edges.mp4"}},
            r"edge.control_path: .* is mostly white: edges are white on",
        ),
        ({"seg": {"control_path": "white.mp4"}}, r"seg.control_path: .* shows one colour throughout"),
        ({"video_path": "black.mp4"}, r"edge.control_path: computed from video_path shows one colour throughout"),
        ({"video_path": "wide.mp4"}, r"video_path: .*wide.mp4 is 128x40 and the clip 256x144: things come out 44% nar"),
    ],
)
def test_what_can_hardly_be_meant_is_said(folder, fields, words):
    said = "\n".join(warnings(folder, **fields))
    assert re.search(words, said), said


def test_axes_in_another_order_are_an_error(folder):
    with pytest.raises(MediaError, match=r"arr_0 is \(72, 128, 4\): expected \(frames, height, width\)"):
        warnings(folder, guided_generation_mask="last_axis.npz")
