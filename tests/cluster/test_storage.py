"""Local paths and URLs answer the same questions in the same words."""

import os
import socket

import fsspec
import pytest

from airshower.cluster import storage


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path):
    """A folder with a.txt (3 bytes), b.txt (0 bytes) and sub/c.txt."""
    url = str(tmp_path / "top") if request.param == "local" else "memory://top-of-storage-test"
    fs, place = fsspec.core.url_to_fs(url)
    fs.makedirs(f"{place}/sub")
    for name, data in {"b.txt": b"", "a.txt": b"abc", "sub/c.txt": b"c"}.items():
        fs.pipe_file(f"{place}/{name}", data)
    yield url
    fs.rm(place, recursive=True)


def test_a_folder_is_looked_through(folder):
    files = storage.list_files(folder)
    assert [os.path.basename(file) for file in files] == ["a.txt", "b.txt"]
    assert [storage.size_bytes(file) for file in files] == [3, 0]
    assert storage.list_matching(storage.join(folder, "*/*.txt")) == storage.list_files(storage.join(folder, "sub"))
    assert storage.is_folder(folder)
    assert not storage.is_folder(files[0])


def test_a_file_is_written_and_read(folder):
    path = storage.join(folder, "new.bin")
    assert not storage.exists(path)
    with storage.open_file(path, "wb") as file:
        file.write(b"\x00\xff")
    assert storage.exists(path)
    assert storage.read_bytes(path) == b"\x00\xff"


def test_what_is_missing_is_named(folder):
    path = storage.join(folder, "nope.mp4")
    for ask in (storage.size_bytes, storage.read_bytes):
        with pytest.raises(FileNotFoundError, match=r"nope\.mp4 does not exist"):
            ask(path)
    with pytest.raises(IsADirectoryError, match="sub is a folder, not a file"):
        storage.size_bytes(storage.join(folder, "sub"))


def test_an_error_of_a_protocol_is_an_os_error_that_names_the_path():
    with pytest.raises(OSError, match="teapot://a/b can't be reached: Protocol not known"):
        storage.size_bytes("teapot://a/b")


@pytest.mark.parametrize(
    ("folder", "path", "joined"),
    [
        ("/data/specs", "a.mp4", "/data/specs/a.mp4"),
        ("/data/specs", "./a.mp4", "/data/specs/a.mp4"),
        ("/data/specs", "../a.mp4", "/data/a.mp4"),
        ("/data/specs", "/a.mp4", "/a.mp4"),
        ("/data/specs", "s3://bucket/a.mp4", "s3://bucket/a.mp4"),
        ("/data/specs", "file:///x/a.mp4", "/x/a.mp4"),
        ("/data/specs", "file://localhost/my%20clip%20%231.mp4", "/my clip #1.mp4"),
        ("s3://bucket/specs", "../videos/a.mp4", "s3://bucket/videos/a.mp4"),
        ("s3://bucket", "a.mp4", "s3://bucket/a.mp4"),
        ("s3://bucket/specs", "/a.mp4", "/a.mp4"),
    ],
)
def test_join(folder, path, joined):
    assert storage.join(folder, path) == joined


def test_a_file_on_another_computer_is_refused():
    with pytest.raises(
        ValueError, match=r"file://m/a.mp4: its file would be on a computer called m: write file:///PATH"
    ):
        storage.join("/data", "file://m/a.mp4")


def test_a_server_that_is_not_there_is_no_missing_file():
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/a.mp4"
    with pytest.raises(OSError, match=rf"{url} can't be reached: Cannot connect"):
        storage.size_bytes(url)


def test_links_in_a_circle_are_neither_files_nor_folders(tmp_path):
    (tmp_path / "a.json").touch()
    (tmp_path / "loop.json").symlink_to("loop.json")
    (tmp_path / "dead.json").symlink_to("nowhere")
    assert storage.list_files(str(tmp_path)) == [str(tmp_path / "a.json")]
    assert storage.list_folders(str(tmp_path)) == []


def test_join_leaves_a_link_through_its_target(tmp_path):
    (tmp_path / "store" / "specs").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "store" / "specs")
    assert storage.join(str(tmp_path / "link"), "../a.mp4") == str(tmp_path / "store" / "a.mp4")


def test_parent_and_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert storage.absolute("a/b.json") == str(tmp_path / "a" / "b.json")
    assert storage.parent(storage.absolute("a/b.json")) == str(tmp_path / "a")
    assert storage.parent("s3://bucket/specs/b.json") == "s3://bucket/specs"
    assert storage.parent("s3://bucket/b.json") == "s3://bucket"
