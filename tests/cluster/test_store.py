"""Stores of all kinds answer alike."""

from importlib.util import find_spec

import fsspec
import pytest

from airshower.cluster.store import StoreError, open_store
from airshower.cluster.store_rules import relative_path


@pytest.fixture(params=["local", "memory", "s3"])
def store(request, tmp_path):
    if request.param == "local":
        yield open_store(tmp_path / "not yet" / "there")
    elif request.param == "s3":
        request.getfixturevalue("bucket")
        yield open_store("s3://drives/a run/")
    else:
        store = open_store("memory://store-test/run")
        yield store
        for name in list(store.names("")):
            store.delete(name)


def test_nothing_is_left_of_the_probe(store):
    assert list(store.names("")) == []


def test_a_file_is_created_once(store):
    assert store.create("a/b/c.json", b"first")
    assert not store.create("a/b/c.json", b"second")
    assert store.read("a/b/c.json") == b"first"
    assert list(store.names("")) == ["a/b/c.json"]


def test_a_file_is_written_and_put_again_and_again(store, tmp_path):
    local = tmp_path / "local.mp4"
    for data in (b"long first content", b"second"):
        store.write("a/w.json", data)
        assert store.read("a/w.json") == data
        local.write_bytes(data)
        store.put("a/p.mp4", local)
        local.write_bytes(b"changed later")
        assert store.read("a/p.mp4") == data
        with fsspec.open(store.url("a/p.mp4")) as file:
            assert file.read() == data


def test_what_is_deleted_is_gone(store):
    for path in ("a/1", "a/b/2", "c/3", "a2/4"):
        store.write(path, b"x")
    store.delete("c/3")
    store.delete("c/3")
    store.delete_folder("a")
    store.delete_folder("a")
    assert list(store.names("")) == ["a2/4"]
    with pytest.raises(FileNotFoundError, match="c/3"):
        store.read("c/3")


def test_names_are_relative_at_any_depth(store):
    for path in ("a/1", "a/.hidden", "a/b/c/2", "a b/3", "a2/4 +%&ü"):
        store.write(path, b"x")
    assert sorted(store.names("a")) == [".hidden", "1", "b/c/2"]
    assert sorted(store.names("")) == ["a b/3", "a/.hidden", "a/1", "a/b/c/2", "a2/4 +%&ü"]
    assert list(store.names("missing")) == []


def test_a_local_file_that_is_missing_is_named(store, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nope\.mp4"):
        store.put("a", tmp_path / "nope.mp4")


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../a", "a/../../b", "a//b", "a/", "./a"])
def test_what_is_no_path_below_is_refused(path):
    with pytest.raises(ValueError, match="no path in a store"):
        relative_path(path)


@pytest.mark.parametrize(
    ("location", "line"),
    [
        ("hf://datasets/a", "use s3://, gs://, az:// or a folder that all machines share"),
        ("s3://", "names no bucket: expected s3://BUCKET/FOLDER"),
        pytest.param(
            "gs://drives/run",
            "gs:// needs gcsfs: pip install gcsfs",
            marks=pytest.mark.skipif(find_spec("gcsfs") is not None, reason="gcsfs is installed"),
        ),
    ],
)
def test_what_is_no_store_is_refused_in_one_line(location, line):
    with pytest.raises(StoreError) as refused:
        open_store(location)
    assert str(refused.value).startswith(f"{location}: ")
    assert str(refused.value).endswith(line)
