"""A folder's digest follows its content, whatever was remembered of it."""

import os

import pytest

from airshower.cluster.folder_sha256 import folder_sha256


def test_it_is_of_the_content_wherever_it_lies(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder / "sub").mkdir(parents=True)
        (tmp_path / folder / "sub" / "x.bin").write_bytes(b"weights")
        (tmp_path / folder / ".cache").mkdir()
        (tmp_path / folder / ".cache" / "when").write_text(folder)
    first = folder_sha256(tmp_path / "a")
    assert folder_sha256(tmp_path / "b") == folder_sha256(tmp_path / "a") == first
    (tmp_path / "b" / "sub" / "x.bin").rename(tmp_path / "b" / "x.bin")
    assert folder_sha256(tmp_path / "b") != first


def test_a_change_that_hides_behind_size_and_time_is_seen(tmp_path):
    file = tmp_path / "x.bin"
    file.write_bytes(b"weights")
    first, status = folder_sha256(tmp_path), file.stat()
    file.write_bytes(b"WEIGHTS")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert folder_sha256(tmp_path) != first


def test_it_needs_no_memory(tmp_path, monkeypatch):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "x.bin").write_bytes(b"weights")
    first = folder_sha256(tmp_path / "weights")
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # nothing can be kept there
    assert folder_sha256(tmp_path / "weights") == first


def test_a_folder_that_isnt_there_is_an_error(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(OSError, match=str(folder)):
            folder_sha256(folder)
