"""A process that hangs is told from one that works, or that is another one by now."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psutil

from airshower.cluster.hung_processes import Process, end_if_hung
from tests.processes import is_running, stop

SAYS_WHO_IT_IS = """
import sys, time
from airshower.cluster.hung_processes import this_process

me = this_process("node")
print(me.host, me.pid, me.started, flush=True)
while sys.argv[1] == "works":
    pass
time.sleep(100)
"""


@contextmanager
def process(what: str) -> Iterator[Process]:
    child = subprocess.Popen([sys.executable, "-c", SAYS_WHO_IT_IS, what], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    host, pid, started = child.stdout.readline().split()
    assert int(pid) == child.pid
    yield Process(node="node", host=host, pid=int(pid), started=int(started))
    child.kill()
    child.wait()
    child.stdout.close()


def test_what_does_nothing_is_ended():
    with process("waits") as hung:
        stopped = psutil.Process(hung.pid)
        stop(stopped)
        assert not end_if_hung(replace(hung, started=hung.started - 1), look_s=0.1)  # its number was another's once
        assert end_if_hung(hung, look_s=0.1)
        stopped.wait(60)
        assert not end_if_hung(hung, look_s=0.1)


def test_what_works_is_left_alone():
    with process("works") as busy:
        assert not end_if_hung(busy)
        assert is_running(busy.pid)
