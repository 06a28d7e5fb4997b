"""Depth as numbers becomes the depth control: inverse depth over the clip's range, near is bright."""

import io

import cv2
import numpy as np
import OpenEXR
import pytest

from airshower.cluster.packing import unpack_frames
from airshower.configs.presets import preset
from airshower.configs.spec import ClipSpec
from airshower.pipelines.decoding.depth_maps import holds_depth, read_depth
from airshower.pipelines.decoding.errors import MediaError
from airshower.pipelines.decoding.limits import MediaLimits
from airshower.pipelines.media import write_video
from airshower.pipelines.prepare import prepare_clip

FRAMES, HEIGHT, WIDTH = 3, 72, 128
LIMITS = MediaLimits()


@pytest.fixture(scope="module")
def distances_m():
    """A wall that comes nearer, from 8 m to 2 m, and a sky without depth, float32 (F, H, W)."""
    maps = np.tile(np.linspace(8, 4, WIDTH, dtype=np.float32), (FRAMES, HEIGHT, 1))
    maps *= np.array([1, 0.75, 0.5], np.float32)[:, None, None]
    maps[:, :10] = np.inf
    return maps


def expected(distances_m):
    inverse = np.where(np.isfinite(distances_m), 1 / distances_m, np.nan)
    low, high = np.nanmin(inverse), np.nanmax(inverse)
    return np.nan_to_num(255 * (inverse - low) / (high - low))


def as_exr(path, one, channel):
    with OpenEXR.File({"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}, {channel: one}) as file:
        file.write(str(path))


def as_pngs(folder, maps, scale):
    folder.mkdir()
    for number, one in enumerate(maps):
        whole = np.where(np.isfinite(one), one * scale, 0).round().astype(np.uint16)
        cv2.imwrite(str(folder / f"depth_{9 + number}.png"), whole)  # 9, 10, 11


def as_exrs(folder, maps):
    folder.mkdir()
    for number, one in enumerate(maps):
        as_exr(folder / f"{number}.exr", one, "Z")


def as_tiff(path, maps):
    cv2.imwritemulti(str(path), list(np.where(np.isfinite(maps), maps, 0).astype(np.float32)))


FORMS = {
    "a.npy": lambda path, maps: np.save(path, maps),
    "a.npz": lambda path, maps: np.savez_compressed(path, maps),
    "named.npz": lambda path, maps: np.savez(path, depth=maps, cameras=np.zeros(3)),
    "half.npy": lambda path, maps: np.save(path, maps[:, None].astype(np.float16)),
    "float.tif": as_tiff,
    "mm": lambda path, maps: as_pngs(path, maps, 1000),
    "kitti": lambda path, maps: as_pngs(path, maps, 256),
    "exr": as_exrs,
}


@pytest.mark.parametrize("name", FORMS)
def test_distances_in_any_form_and_unit_give_the_same_control(tmp_path, distances_m, name):
    FORMS[name](tmp_path / name, distances_m)
    assert holds_depth(str(tmp_path / name), LIMITS)
    depth = read_depth(str(tmp_path / name), most=None, values="distance", limits=LIMITS)
    assert depth.frames.shape == (FRAMES, HEIGHT, WIDTH, 3)
    assert np.abs(depth.frames[..., 0] - expected(distances_m)).max() <= 2
    assert not depth.notes


def test_inverse_depth_is_taken_as_it_is(tmp_path, distances_m):
    np.savez(tmp_path / "a.npz", depths=np.where(np.isfinite(distances_m), 7 / distances_m, np.nan))
    depth = read_depth(str(tmp_path / "a.npz"), most=None, values="inverse", limits=LIMITS)
    assert np.abs(depth.frames[..., 0] - expected(distances_m)).max() <= 1


@pytest.mark.parametrize(
    ("numbers", "levels", "notes"),
    [
        (np.array([[0, 30_000, 65_535]], np.uint16), [0, 117, 255], 0),  # uses the range of 16 bits
        (np.array([[1000, 5000, 0]], np.uint16), [255, 0, 0], 1),
        (np.array([[3, 200, 255]], np.uint8), [3, 200, 255], 0),
        (np.array([[2.0, 4.0, np.inf]], np.float32), [255, 0, 0], 1),
    ],
)
def test_what_nobody_said_is_taken_for_what_it_most_likely_is(tmp_path, numbers, levels, notes):
    np.save(tmp_path / "a.npy", numbers)
    depth = read_depth(str(tmp_path / "a.npy"), most=None, values=None, limits=LIMITS)
    assert depth.frames[0, 0, :, 0].tolist() == levels
    assert len(depth.notes) == notes
    assert all('set depth.values to "distance"' in note for note in depth.notes)


def prepared(folder, **depth):
    row = {"name": "a", "prompt": "a", "video_path": str(folder / "clip.mp4"), "depth": depth}
    return prepare_clip(ClipSpec.model_validate(row).resolved(preset("tiny-transfer")))


def test_a_row_takes_depth_as_numbers(tmp_path, distances_m):
    write_video(tmp_path / "clip.mp4", np.full((2, HEIGHT, WIDTH, 3), 90, np.uint8), 10)
    np.save(tmp_path / "depth.npy", distances_m)
    clip = prepared(tmp_path, control_path=str(tmp_path / "depth.npy"), values="distance")
    control = unpack_frames(clip.controls["depth"])
    assert control.shape == (2, 144, 256, 3)  # of the clip's two frames only, and stretched over these
    assert (control.min(), control.max()) == (0, 255)
    assert not clip.warnings
    said = prepared(tmp_path, control_path=str(tmp_path / "depth.npy")).warnings
    assert len(said) == 1
    assert said[0].startswith(f"depth.control_path: {tmp_path / 'depth.npy'} holds values up to 8,")


def write_bomb(path):
    """A small file of very many zeros."""
    np.savez_compressed(path, np.zeros((60, 1024, 1024), np.float32))


def write_cut_exr(path):
    as_exr(path, np.random.default_rng(0).random((64, 64), np.float32), "Z")
    path.write_bytes(path.read_bytes()[:3000])


def write_text_array(path):
    np.save(path, np.array(["near", "far"]))


def write_several(path):
    np.savez(path, left=np.ones((2, 4, 4)), right=np.ones((2, 4, 4)))


def write_cut_array(path):
    file = io.BytesIO()
    np.save(file, np.ones((9, 9)))
    path.write_bytes(file.getvalue()[:-100])


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("bomb.npz", write_bomb, r"arr_0 takes 0\.2 GiB: save fewer frames"),
        ("cut.exr", write_cut_exr, "damaged or cut off: copy or make it again"),
        ("cut.npy", write_cut_array, r"not a whole \.npy or \.npz file"),
        ("text.npy", write_text_array, r"is <U4 \(2,\): expected numbers of shape \(frames, height, width\)"),
        ("several.npz", write_several, "holds left, right: give the one of depth the name 'depth'"),
        ("rgb.exr", lambda path: as_exr(path, np.ones((4, 4), np.float32), "normal.X"), "channels are normal.X: name"),
        ("empty", lambda path: path.mkdir(), "no file in this folder: put one depth map per frame there"),
    ],
)
def test_what_is_no_depth_is_refused(tmp_path, name, make, message):
    make(tmp_path / name)
    with pytest.raises(MediaError, match=message) as raised:
        read_depth(str(tmp_path / name), most=None, values=None, limits=MediaLimits(clip_bytes=100 * 2**20))
    assert str(raised.value).startswith(f"{tmp_path / name}: ")


def test_values_that_cannot_be_are_errors(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((1, 4, 4), np.float32))
    with pytest.raises(MediaError, match="holds float32, and levels are whole numbers of 8 or 16 bits"):
        read_depth(str(tmp_path / "a.npy"), most=None, values="levels", limits=LIMITS)
    write_video(tmp_path / "clip.mp4", np.full((2, HEIGHT, WIDTH, 3), 90, np.uint8), 10)
    with pytest.raises(MediaError, match=r"depth\.control_path: .*clip\.mp4 has grey levels, and depth\.values asks"):
        prepared(tmp_path, control_path=str(tmp_path / "clip.mp4"), values="distance")
    with pytest.raises(ValueError, match="values says what control_path holds, which is missing"):
        prepared(tmp_path, values="distance")
