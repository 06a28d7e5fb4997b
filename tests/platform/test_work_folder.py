import os
import signal
import subprocess
import sys

import pytest

from airshower.platform.work_folder import WorkFolderError, work_folder

HOLD = """
import sys, time
from pathlib import Path
from airshower.platform.work_folder import work_folder
with work_folder(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_one_process_at_a_time_however_it_ends(tmp_path):
    folder = tmp_path / "work"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(WorkFolderError) as refused, work_folder(folder):
            pass
        assert str(refused.value) == f"{folder} is used by another service: stop that one, or give another --work-dir"
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with work_folder(folder), pytest.raises(WorkFolderError), work_folder(folder):
        pass


def test_the_folder_of_a_run_is_refused(tmp_path):
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "ledger.json").touch()
    with pytest.raises(WorkFolderError, match="is the folder of a run: give another --work-dir"), work_folder(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["ledger"]


def test_a_folder_that_cannot_be_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(
            WorkFolderError, match=r"file/work can't be used as work folder \(Not a directory\): give another"
        ),
        work_folder(tmp_path / "file" / "work"),
    ):
        pass
