"""Connecting to Ray: quiet, and with one line when there is nothing to connect to."""

import socket
import subprocess
import sys

import pytest

from airshower.cluster.session import ClusterError, ray_session

KILLED_ON_THE_WAY = """
import os, signal, sys
from airshower.cluster.session import ray_session

class Fragile:
    def __call__(self, batch):
        if not os.path.exists(sys.argv[1]):
            open(sys.argv[1], "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        print("a worker's chatter")
        return batch

with ray_session(address="local", local_cpus=2) as cluster:
    import ray.data
    pool = ray.data.ActorPoolStrategy(size=1)
    rows = ray.data.range(3).map_batches(Fragile, batch_size=1, compute=pool, num_cpus=0.1)
    print(cluster.cpus, sorted(row["id"] for row in rows.iter_rows()))
"""


@pytest.mark.cluster
def test_a_run_prints_nothing_of_rays_even_when_a_worker_dies(tmp_path):
    script = KILLED_ON_THE_WAY.replace("sys.argv[1]", repr(str(tmp_path / "died_once")))
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert (ended.stdout, ended.stderr) == ("2.0 [0, 1, 2]\n", "")
    assert (tmp_path / "died_once").exists()


@pytest.mark.usefixtures("no_cluster")  # a session that is there would be taken
def test_an_address_where_nobody_listens_is_one_line():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with (
            pytest.raises(ClusterError, match=f"address '{address}': nobody answers") as caught,
            ray_session(address=address),
        ):
            pass
    assert "\n" not in str(caught.value)
