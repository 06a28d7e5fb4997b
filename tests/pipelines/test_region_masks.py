"""Masks from videos, arrays of labels and folders of images: all three mean the same region, misfits are named."""

import io
import zipfile

import cv2
import fsspec
import numpy as np
import pytest

from airshower.configs.sizes import Size
from airshower.pipelines.decoding.errors import MediaError
from airshower.pipelines.decoding.name_order import in_name_order
from airshower.pipelines.media import write_video
from airshower.pipelines.region_masks import read_region_mask

FRAMES, HEIGHT, WIDTH = 5, 32, 48


@pytest.fixture(scope="module")
def region():
    """A square that moves, bool (frames, height, width); its sides are even, so that a video keeps them sharp."""
    region = np.zeros((FRAMES, HEIGHT, WIDTH), bool)
    for frame in range(FRAMES):
        region[frame, 8:24, 8 + 4 * frame : 24 + 4 * frame] = True
    return region


@pytest.fixture(scope="module")
def folder(tmp_path_factory, region):
    """The region as a video, as labels (3 in its upper half and 7 below), as bool and as images."""
    folder = tmp_path_factory.mktemp("regions")
    white = region[..., None].repeat(3, axis=-1) * np.uint8(255)
    write_video(folder / "region.mp4", white, 24)
    labels = region * np.where(np.arange(HEIGHT)[:, None] < 16, 3, 7)
    np.savez(folder / "labels.npz", labels)
    np.savez_compressed(folder / "bool.npz", region)
    (folder / "images").mkdir()
    for number, frame in enumerate(white):
        cv2.imwrite(str(folder / "images" / f"frame_{7 + number}.png"), frame)  # 7, 8, 9, 10, 11
    (folder / "images" / ".DS_Store").write_bytes(b"not an image")
    return folder


def read(path, frames=FRAMES, size=(HEIGHT, WIDTH), labels=None):
    return read_region_mask(str(path), frames=frames, size=Size(*size), foreground_labels=labels).covered_FHW


@pytest.mark.parametrize("name", ["region.mp4", "labels.npz", "bool.npz", "images"])
def test_every_form_gives_the_same_region(folder, region, name):
    mask = read(folder / name)
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, region)


@pytest.mark.parametrize("name", ["region.mp4", "labels.npz", "bool.npz", "images"])
def test_masks_take_the_clips_size(folder, region, name):
    assert read(folder / name, size=(64, 96)).shape == (FRAMES, 64, 96)
    np.testing.assert_array_equal(read(folder / name, size=(16, 24)), region[:, ::2, ::2])


@pytest.mark.parametrize(
    ("labels", "rows"), [([3], range(8, 16)), ([7], range(16, 24)), ([3, 7, 9], range(8, 24)), ([9], range(0))]
)
def test_labels_select(folder, region, labels, rows):
    expected = region & np.isin(np.arange(HEIGHT), rows)[:, None]
    np.testing.assert_array_equal(read(folder / "labels.npz", labels=labels), expected)


def test_the_background_can_be_selected(folder, region):
    np.testing.assert_array_equal(read(folder / "labels.npz", labels=[0]), ~region)
    np.testing.assert_array_equal(read(folder / "bool.npz", labels=[0]), ~region)


def test_labels_are_resized_to_the_nearest_and_pictures_linearly(tmp_path):
    checks = np.zeros((1, 2, 2), np.int64)
    checks[0, 0, 0] = 2
    np.savez(tmp_path / "checks.npz", checks)
    (tmp_path / "checks").mkdir()
    cv2.imwrite(str(tmp_path / "checks" / "0.png"), (checks[0] * 127).astype(np.uint8))  # 254
    assert read(tmp_path / "checks.npz", 1, (8, 8)).sum() == 16
    assert 0 < read(tmp_path / "checks", 1, (8, 8)).sum() < 16  # a rounded corner


def test_only_the_first_channel_counts(tmp_path):
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[..., 0] = 255
    cv2.imwrite(str(tmp_path / "0.png"), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    cv2.imwrite(str(tmp_path / "1.png"), 255 - cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    assert read(tmp_path, 2, (4, 4)).mean(axis=(1, 2)).tolist() == [1, 0]


def test_urls_work_as_paths_do(folder, region):
    remote = fsspec.filesystem("memory")
    for path in (path for path in folder.rglob("*") if path.is_file()):
        remote.pipe(f"/regions/{path.relative_to(folder)}", path.read_bytes())
    try:
        for name in ("region.mp4", "labels.npz", "images"):
            np.testing.assert_array_equal(read(f"memory://regions/{name}"), region)
    finally:
        remote.rm("/regions", recursive=True)


@pytest.mark.parametrize(
    ("name", "frames", "message"),
    [
        ("region.mp4", 6, r"region\.mp4: has 5 frames and the clip 6: give one mask per frame"),
        ("labels.npz", 6, r"labels\.npz: has 5 frames and the clip 6"),
        ("images", 6, r"images: has 5 frames and the clip 6"),
    ],
)
def test_what_is_shorter_than_the_clip_is_an_error(folder, name, frames, message):
    with pytest.raises(MediaError, match=message):
        read(folder / name, frames)


@pytest.mark.parametrize("name", ["region.mp4", "labels.npz", "images"])
def test_what_is_longer_than_the_clip_is_cut(folder, name):
    np.testing.assert_array_equal(read(folder / name, 3), read(folder / name, 5)[:3])


@pytest.mark.parametrize("name", ["region.mp4", "images"])
def test_labels_belong_to_arrays_only(folder, name):
    with pytest.raises(MediaError, match=r"foreground labels are given and only \.npz files have labels: remove them"):
        read(folder / name, labels=[1])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"masks": np.ones((FRAMES, 4, 4), int)}, r"no arr_0 in it, only masks: save it with numpy\.savez"),
        ({}, "no arr_0 in it, only nothing"),
        ({"arr_0": np.ones((FRAMES, 4, 4))}, r"arr_0 is float64 \(5, 4, 4\): expected integers or bool"),
        ({"arr_0": np.ones((FRAMES, 4, 4, 3), int)}, r"arr_0 is int64 \(5, 4, 4, 3\): expected"),
        ({"arr_0": np.ones((FRAMES, 0, 4), int)}, r"arr_0 is int64 \(5, 0, 4\): expected"),
        ({"arr_0": np.array([None])}, r"not an \.npz file"),
    ],
)
def test_arrays_that_are_no_labels_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "wrong.npz", **arrays)
    with pytest.raises(MediaError, match=message) as raised:
        read(tmp_path / "wrong.npz")
    assert str(raised.value).startswith(f"{tmp_path / 'wrong.npz'}: ")
    assert "\n" not in str(raised.value)


def lone_array(content):
    array = io.BytesIO()
    np.save(array, np.ones((FRAMES, 4, 4), int))
    return array.getvalue()


def zip_of_half_an_array(content):
    """A whole zip file whose array is cut."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("arr_0.npy", lone_array(content)[:200])
    return archive.getvalue()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:60] + bytes(40) + content[100:],
        lambda content: b"labels\n",
        lone_array,
        zip_of_half_an_array,
    ],
)
@pytest.mark.parametrize("name", ["labels.npz", "bool.npz"])
def test_damaged_arrays_are_refused(folder, tmp_path, name, damage):
    path = tmp_path / name
    path.write_bytes(damage((folder / name).read_bytes()))
    with pytest.raises(MediaError, match=rf"{name}: not an \.npz file, or truncated: make or copy it again"):
        read(path)


def test_a_truncated_video_is_refused(folder, tmp_path):
    path = tmp_path / "cut.mp4"
    path.write_bytes((folder / "region.mp4").read_bytes()[:-200])
    with pytest.raises(MediaError, match=r"cut\.mp4: (truncated|damaged|not a video)"):
        read(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".txt"])
def test_a_truncated_image_is_refused(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    content = b"notes" if suffix == ".txt" else cv2.imencode(suffix, noise)[1].tobytes()
    (tmp_path / f"1{suffix}").write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(MediaError, match=rf"1\{suffix}: (damaged or cut off|not a video)"):
        read(tmp_path, 1)


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / ".hidden").touch()
    with pytest.raises(MediaError, match="no file in this folder: put one image per frame there"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["gone.npz", "gone.mp4", "gone"])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=rf"{name} does not exist"):
        read(tmp_path / name)


def test_numbers_in_names_count_by_value():
    names = ["f/b1.png", "f/a10.png", "f/a2.png", "f/10.png", "f/9.png"]
    names += ["f/Thumbs.db", "f/desktop.ini", "f/.DS_Store", "f/._9.png"]  # which systems put there
    assert in_name_order(names) == ["f/9.png", "f/10.png", "f/a2.png", "f/a10.png", "f/b1.png"]
