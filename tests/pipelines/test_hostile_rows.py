"""Whatever a row's file holds, it is read, or refused with one line that names it; it opens no other file or address.

The campaign `tests.campaigns.hostile_files` has more of them.
"""

import io
import os
import pickle
import zipfile
from contextlib import suppress

import numpy as np
import pytest

from airshower.configs.presets import preset
from airshower.configs.spec import ClipSpec
from airshower.pipelines.decoding.errors import MediaError
from airshower.pipelines.decoding.limits import MediaLimits
from airshower.pipelines.media import read_header
from airshower.pipelines.prepare import prepare_clip
from tests.pipelines.decoding.mutated import FRAMES, field_of, frames_of, row_of, spoilt_files, valid_files
from tests.pipelines.decoding.numbered import picture, write
from tests.pipelines.decoding.posing import listening, posing

FIELDS = (
    "video_path",
    "edge.control_path",
    "edge.mask_path",
    "depth.control_path",
    "image_context_path",
    "guided_generation_mask",
)
SPOILT = 120
LIMITS = MediaLimits(clip_bytes=16 << 20)


@pytest.fixture(scope="module")
def leader(tmp_path_factory):
    path = tmp_path_factory.mktemp("leader") / "leader.mp4"
    write(path, pictures=[picture(number) for number in range(FRAMES)])
    return str(path)


def prepare(field, path, leader, frames=FRAMES):
    row = {"name": "a", "resolution": "144", **row_of(field, path, leader, frames)}
    return prepare_clip(ClipSpec.model_validate(row).resolved(preset("transfer2.5-2b")), LIMITS)


def refusal(field, path, leader, frames=FRAMES):
    """Why a file is refused; None where it is read."""
    try:
        prepare(field, path, leader, frames)
    except (ValueError, OSError) as error:
        return str(error)
    return None


def is_one_line_of(message, field, path):
    return message is not None and message.startswith(f"{field}: {path}") and "\n" not in message


@pytest.mark.parametrize("field", FIELDS)
def test_a_text_that_poses_as_anything_opens_nothing(tmp_path, monkeypatch, leader, field):
    monkeypatch.chdir(tmp_path)  # relative names would be found from here
    write(tmp_path / "canary.mp4")
    with listening() as (port, spoken_to):
        canary = tmp_path / "canary.mp4"
        opened = canary.stat().st_atime_ns
        for number, (kind, content) in enumerate(posing(canary, port).items()):
            path = tmp_path / f"{kind}.{('mp4', 'm3u8', 'npz')[number % 3]}"
            path.write_bytes(content)
            assert is_one_line_of(refusal(field, path, leader), field, path), kind
        assert not spoken_to()
        assert canary.stat().st_atime_ns == opened  # nobody read it


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def header_of(shape):
    """The beginning of an array that would be huge."""
    return npy(np.zeros((1, 1, 1), np.uint8)).replace(b"(1, 1, 1), }    ", f"{shape}, }}".ljust(16).encode())


def archive(**files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name.replace("__", "/"), content)
    return file.getvalue()


class Harm:
    def __reduce__(self):
        return os.mkdir, ("harm",)


ARRAYS = {
    "bomb.npz": archive(**{"arr_0.npy": npy(np.zeros((8, 2048, 2048), np.uint8))}),
    "announced.npz": archive(**{"arr_0.npy": header_of((10**6, 10**6, 10**6))}),
    "negative.npz": archive(**{"arr_0.npy": header_of((-1, 9, 9))}),
    "pickle.npz": archive(**{"arr_0.npy": npy(np.array([[[Harm()]]], object))}),
    "raw.npz": pickle.dumps(Harm()),
    "climbing.npz": archive(**{"..__..__arr_0.npy": b"x"}),
    "locked.npz": archive(**{"arr_0.npy": npy(np.zeros((8, 9, 9), np.uint8))}).replace(b"\0\0\x08\0", b"\1\0\x08\0"),
    "odd.npz": archive(**{"arr_0.npy": b"\x93NUMPY\x01\0\x76\0{'descr': __import__('os').mkdir('harm')}"}),
    "many.npz": archive(**{f"x{number}": b"" for number in range(3000)}),
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("field", ["guided_generation_mask", "depth.control_path"])
def test_arrays_are_looked_at_before_they_are_unpacked(tmp_path, monkeypatch, leader, field, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(ARRAYS[name])
    message = refusal(field, tmp_path / name, leader)
    assert is_one_line_of(message, field, tmp_path / name)
    assert len(message) < 1000
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("field", ["guided_generation_mask", "depth.control_path"])
def test_files_of_folders_are_looked_at_like_others(tmp_path, leader, field):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(8):
        (folder / f"{number}.png").write_bytes(b"ffconcat version 1.0\nfile ../canary.mp4\n")
    assert is_one_line_of(refusal(field, folder, leader), field, folder)


def test_spoilt_files_are_read_or_refused_in_one_line(tmp_path, leader):
    (tmp_path / "valid").mkdir()
    seeds = valid_files(tmp_path / "valid")
    for number, spoilt in enumerate(spoilt_files(seeds, SPOILT, seed=1)):
        field = field_of(spoilt.kind)
        field = FIELDS[number // len(seeds) % len(FIELDS)] if field == "video_path" else field
        path = tmp_path / f"{number}_{spoilt.kind}"
        path.write_bytes(spoilt.content)
        with suppress(MediaError):
            read_header(str(path))  # as a run's plan does: what else it raised would end the run
        message = refusal(field, path, leader, frames_of(spoilt.kind))
        assert message is None or is_one_line_of(message, field, path), spoilt.how


def test_every_kind_of_file_is_read_before_it_is_spoilt(tmp_path, leader):
    for name in valid_files(tmp_path):
        assert prepare(field_of(name), tmp_path / name, leader, frames_of(name)).frames == frames_of(name), name
