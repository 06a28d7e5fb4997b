"""One of many writers wins, and nobody ever sees a part of a file."""

import errno
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airshower.cluster.local_store import LocalStore
from airshower.cluster.store import StoreError, open_store


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def test_a_store_is_sent_by_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sent = pickle.dumps(LocalStore("run"))
    assert len(sent) < 300
    monkeypatch.chdir("/")
    again = pickle.loads(sent)
    assert again.create("a", b"1")
    assert (again.location, again.url("a")) == ("run", str(tmp_path / "run" / "a"))


def _race(folder, barrier, won, number):
    store = LocalStore(folder)
    for turn in range(50):
        barrier.wait(timeout=60)
        if store.create(f"turns/{turn}", b"%d " % number * 10_000):
            won.put((turn, number))


def test_eight_processes_race_and_one_wins(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, won = context.Barrier(8), context.Queue()
    racers = [context.Process(target=_race, args=(str(tmp_path), barrier, won, number)) for number in range(8)]
    for racer in racers:
        racer.start()
    winners = sorted(won.get(timeout=120) for _ in range(50))
    for racer in racers:
        racer.join(timeout=120)
    assert [racer.exitcode for racer in racers] == [0] * 8
    assert won.empty()
    assert [turn for turn, _ in winners] == list(range(50))
    store = LocalStore(tmp_path)
    assert all(store.read(f"turns/{turn}") == b"%d " % number * 10_000 for turn, number in winners)
    assert len(files(tmp_path)) == 50  # no parts


def test_a_writer_that_is_killed_leaves_nothing_visible(tmp_path):
    os.mkfifo(tmp_path / "endless")  # a source of which half has come when the writer dies
    writer = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, pathlib; from airshower.cluster.local_store import LocalStore; "
            "LocalStore(sys.argv[1]).put('a/b.mp4', pathlib.Path(sys.argv[2]))",
            tmp_path / "store",
            tmp_path / "endless",
        ]
    )
    with (tmp_path / "endless").open("wb") as source:
        source.write(b"half" * (1 << 20))
        source.flush()
        deadline_s = time.monotonic() + 30
        while not files(tmp_path / "store") and time.monotonic() < deadline_s:
            time.sleep(0.01)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    store = LocalStore(tmp_path / "store")
    assert len(files(tmp_path / "store")) == 1  # its part
    assert list(store.names("")) == []
    assert store.create("a/b.mp4", b"whole")
    assert list(store.names("")) == ["a/b.mp4"]
    store.delete_folder("a")
    assert files(tmp_path / "store") == []


def test_a_link_whose_answer_got_lost_counts(tmp_path, monkeypatch):
    link = os.link

    def repeated(part, place):  # as NFS does
        link(part, place)
        link(part, place)

    monkeypatch.setattr(os, "link", repeated)
    store = LocalStore(tmp_path)
    assert store.create("a", b"1")
    monkeypatch.undo()
    assert not store.create("a", b"2")


@pytest.mark.parametrize(
    ("call", "number", "line"),
    [
        ("link", errno.EPERM, r"hard links are refused \(Operation not permitted\).*use another file system"),
        ("fsync", errno.ENOSPC, r"can't be written \(No space left on device\): free space"),
        ("fsync", errno.EDQUOT, "free space"),
        ("fsync", errno.EROFS, r"can't be written \(Read-only file system\): choose a folder"),
    ],
)
def test_a_file_system_that_wont_do_is_refused_in_one_line(tmp_path, monkeypatch, call, number, line):
    def refuse(*args):
        raise OSError(number, os.strerror(number), *(args if call != "link" else (args[0], None, args[1])))

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(StoreError, match=line) as refused:
        open_store(tmp_path)
    assert str(refused.value).startswith(f"{tmp_path}: ")
    assert "\n" not in str(refused.value)
    assert files(tmp_path) == []


def test_links_that_replace_are_refused(tmp_path, monkeypatch):
    def replacing(part, place):
        Path(place).write_bytes(Path(part).read_bytes())

    monkeypatch.setattr(os, "link", replacing)
    with pytest.raises(StoreError, match="two writers could create one file"):
        open_store(tmp_path)


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match=r"can't be written \(Not a directory\)"):
        open_store(tmp_path / "file")


def test_without_a_probe_nothing_is_touched(tmp_path):
    open_store(tmp_path / "a", probe=False)
    assert list(tmp_path.iterdir()) == []
