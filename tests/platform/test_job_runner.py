"""What is deleted while it is worked on leaves nothing that could still write: with real Ray tasks, and no replica."""

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray

from airshower.configs.messages import Row
from airshower.configs.presets import tiny_transfer
from airshower.configs.spec import ClipSpec
from airshower.platform import job_runner
from airshower.platform.job_runner import JobRunner, QueueFullError
from airshower.platform.jobs import JobTable

pytestmark = pytest.mark.cluster


def row():
    spec = ClipSpec.model_validate({"name": "a", "prompt": "rain", "video_path": "/in.mp4", "edge": {}})
    return Row(index=0, name="a", source="test", spec=spec.resolved(tiny_transfer()), prompt="rain")


def writes_for_ever(folder, obeys):
    """A task that goes on writing, whether or not it is asked to end."""
    while True:
        try:
            folder.mkdir(exist_ok=True)
            (folder / "grows").open("a").write("x")
            time.sleep(0.01)
        except KeyboardInterrupt:
            if obeys:
                raise


class Generator:
    """Gives each row back at once."""

    def __init__(self):
        self.generate = SimpleNamespace(remote=self._generated)

    def options(self, *, stream):
        assert stream
        return self

    async def _generated(self, prepared):
        yield 0.5
        yield await prepared


def tasks(stage, folder, obeys):
    """The two tasks, of which one goes on for ever."""
    work = ray.remote(num_cpus=0)(writes_for_ever).remote
    ends = ray.remote(num_cpus=0, num_returns=2)(lambda row: (row, row)).remote
    prepare = ray.remote(num_cpus=0, num_returns=2)(writes_for_ever).remote
    if stage == "prepare":
        return lambda row, _: prepare(folder, obeys), None
    return lambda row, _: ends(row), lambda *_: work(folder, obeys)


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(("stage", "obeys"), [("prepare", True), ("prepare", False), ("write", True)])
def test_a_deleted_video_leaves_no_task(tmp_path, monkeypatch, stage, obeys):
    jobs = JobTable(tmp_path)
    prepare, write = tasks(stage, jobs.folder("one"), obeys)
    monkeypatch.setattr(job_runner, "prepare_row", SimpleNamespace(remote=prepare))
    monkeypatch.setattr(job_runner, "write_row", SimpleNamespace(remote=write))
    monkeypatch.setattr(job_runner, "CANCEL_TIMEOUT_S", 10.0 if obeys else 0.5)

    async def delete_meanwhile():
        runner = JobRunner(jobs, Generator(), None, in_flight=1, max_queued=2)
        with runner.place():
            runner.submit("one", row())
        with runner.place():
            runner.submit("two", row())  # waits for the first
        while not (jobs.folder("one") / "grows").exists():
            await asyncio.sleep(0.01)
        assert (jobs.get("one").stage, jobs.get("two").status) == (stage, "queued")
        with pytest.raises(QueueFullError, match="2 videos are queued or running"), runner.place():
            pass
        for video_id in ("two", "one"):
            await runner.cancel(video_id)
            jobs.remove(video_id)
        await runner.stop()

    asyncio.run(delete_meanwhile())
    time.sleep(0.3)  # in which it would write again
    assert list(Path(tmp_path, "videos").iterdir()) == []
