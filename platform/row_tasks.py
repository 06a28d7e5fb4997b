"""The two CPU stages of the service as Ray tasks, each the batch pipeline's own function; a row's error is data.

What clients send is read in a process of its own (`airshower.pipelines.sandbox`), which the task only waits for.

They ask Ray for no CPU: autoscaled replicas may hold all of them, and the runner bounds how many tasks there are.
"""

import time
from dataclasses import replace

import ray

from airshower.configs.messages import Row
from airshower.pipelines.sandbox.rows import SandboxedReading
from airshower.pipelines.write import open_run_folder
from airshower.pipelines.write import write_row as write_files


@ray.remote(num_cpus=0, num_returns=2)
def prepare_row(row: Row, reading: SandboxedReading) -> tuple[Row, Row]:
    """The row's outcome without payload, for the runner, and the prepared row, for the replica."""
    begun_s = time.perf_counter()
    try:
        if row.spec is None:
            raise ValueError(f"{row.name}: only a validated row can be prepared")
        prepared = reading.prepare(row.spec)
    except Exception as error:  # noqa: BLE001 - an error is data
        failed = row.failed("prepare", error)
        return failed, failed
    timed = replace(row, seconds=row.seconds | {"prepare": time.perf_counter() - begun_s})
    return timed, replace(timed, prepared=prepared)


@ray.remote(num_cpus=0)
def write_row(prepared: Row, generated: Row, folder: str) -> Row:
    """Writes the video, its controls and its record into `folder`; the outcome without payload."""
    begun_s = time.perf_counter()
    row = replace(generated, prepared=generated.prepared or prepared.prepared)
    try:
        written = write_files(row, open_run_folder(folder))
    except Exception as error:  # noqa: BLE001 - an error is data
        return row.failed("write", error)
    seconds = written.seconds | {"write": time.perf_counter() - begun_s}
    return replace(written, prepared=None, generated=None, seconds=seconds)
