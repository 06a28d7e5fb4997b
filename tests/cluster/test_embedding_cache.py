"""What was put comes back bit for bit or not at all."""

import hashlib
import multiprocessing
import os
import subprocess
import sys

import fsspec
import numpy as np
import pytest

from airshower.cluster.embedding_cache import EmbeddingCache, embedding_key

KEY = embedding_key("t5 in float32", "a red car")


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path):
    if request.param == "local":
        yield str(tmp_path / "not" / "yet" / "there")
    else:
        yield "memory://embedding-cache-test/prompts"
        fs = fsspec.filesystem("memory")
        if fs.exists("/embedding-cache-test"):
            fs.rm("/embedding-cache-test", recursive=True)


@pytest.fixture
def cache(folder):
    return EmbeddingCache(folder)


def stored(folder):
    fs, place = fsspec.core.url_to_fs(folder)
    return fs, f"{place}/{KEY}.npy"


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.float32).reshape(3, 4) / 7,
        np.array([[np.nan, np.inf, -0.0, 6e-8]], dtype=np.float16),
        np.zeros((0, 4), np.float32),
        np.float32(3).reshape(()),
        np.arange(12, dtype=np.float16).reshape(3, 4).T[::2],
    ],
    ids=["float32", "float16 extremes", "empty", "no axes", "strided"],
)
def test_what_was_put_comes_back(cache, array):
    assert cache.get(KEY) is None
    cache.put(KEY, array)
    again = cache.get(KEY)
    assert (again.dtype, again.shape, again.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert cache.get(embedding_key("t5 in float32", "a red van")) is None


def test_an_entry_is_a_file_that_numpy_reads(cache, folder):
    cache.put(KEY, np.float32([1, 2]))
    fs, path = stored(folder)
    with fs.open(path) as file:
        assert np.load(file).tolist() == [1, 2]
    assert [os.path.basename(name) for name in fs.ls(os.path.dirname(path), detail=False)] == [f"{KEY}.npy"]


@pytest.mark.parametrize("damage", ["empty", "short", "checksum gone", "bit flipped", "other content"])
def test_a_damaged_entry_is_absent_until_it_is_put_again(cache, folder, damage):
    array = np.arange(100, dtype=np.float32)
    cache.put(KEY, array)
    fs, path = stored(folder)
    data = fs.cat_file(path)
    flipped = bytearray(data)
    flipped[200] ^= 1
    fs.pipe_file(
        path,
        {
            "empty": b"",
            "short": data[: len(data) // 2],
            "checksum gone": data[:-32],
            "bit flipped": bytes(flipped),
            "other content": b"<html>not found</html>" * 50,
        }[damage],
    )
    assert cache.get(KEY) is None
    cache.put(KEY, array)
    assert np.array_equal(cache.get(KEY), array)


@pytest.mark.parametrize("array", [np.zeros(2), np.zeros(2, np.int32), np.zeros(2, ">f4"), np.array([None])])
def test_other_types_are_refused(cache, array):
    with pytest.raises(ValueError, match="expected float16 or float32"):
        cache.put(KEY, array)
    assert cache.get(KEY) is None


def test_keys_tell_encoder_and_text_apart():
    pairs = [("a", "b"), ("b", "a"), ("ab", ""), ("", "ab"), ("a", "B"), ("a", "b "), ("a", "\ud800"), ("a", "é")]
    assert len({embedding_key(*pair) for pair in pairs}) == len(pairs)
    # fixed for good: entries outlive releases
    expected = hashlib.sha256(b"\x01" + b"\x00" * 7 + b"a" + b"\x01" + b"\x00" * 7 + b"b").hexdigest()
    assert embedding_key("a", "b") == expected


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "a red car", KEY.upper(), KEY + "\n"])
def test_what_is_no_key_is_refused(cache, key):
    with pytest.raises(ValueError, match="expected 64 hexadecimal digits"):
        cache.get(key)


def test_a_write_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    cache = EmbeddingCache(str(tmp_path))
    cache.put(KEY, np.float32([1]))

    def refuse(source, target):
        raise OSError(28, "No space left on device", target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="No space left"):
        cache.put(KEY, np.float32([2]))
    assert os.listdir(tmp_path) == [f"{KEY}.npy"]
    assert cache.get(KEY).tolist() == [1]


def test_storage_that_cant_be_reached_is_no_empty_cache():
    cache = EmbeddingCache("teapot://a/b")
    with pytest.raises(OSError, match=r"teapot://a/b/.*can't be reached"):
        cache.get(KEY)
    with pytest.raises(OSError, match=r"teapot://a/b/.*can't be written"):
        cache.put(KEY, np.float32([1]))


def _write_and_read(folder, barrier, value, failures):
    cache, size = EmbeddingCache(folder), 50_000
    barrier.wait(timeout=60)
    for _ in range(50):
        cache.put(KEY, np.full(size, value, np.float32))
        array = cache.get(KEY)
        if array is None or len(array) != size or array.min() != array.max():
            failures.put("absent" if array is None else "mixed")


def test_two_processes_may_write_one_key(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, failures = context.Barrier(2), context.Queue()
    writers = [
        context.Process(target=_write_and_read, args=(str(tmp_path), barrier, value, failures)) for value in (1.0, 2.0)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=120)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert failures.empty()
    assert os.listdir(tmp_path) == [f"{KEY}.npy"]


def test_the_cache_does_without_torch():
    code = "import sys, airshower.cluster.embedding_cache; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
