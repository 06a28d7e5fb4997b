"""The dispatcher's rows as a source of Ray Data: one task per pool that hands on parcels as they come.

Ray Data would read ahead as far as memory allows; here the dispatcher decides how many parcels are under way. Should
the task's worker die, Ray runs it again from its beginning and keeps what had arrived: parcels are numbered for that.
Importing this module imports Ray.
"""

from collections.abc import Iterator

import pyarrow as pa
import ray
from ray.data import Dataset
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasource, ReadTask

from airshower.pipelines.dispatch.handle import Dispatch
from airshower.pipelines.dispatch.parcels import packed
from airshower.pipelines.dispatch.queue import Over


def parcels(dispatch: Dispatch, pool: str) -> Dataset:
    """The lazy dataset of all parcels for a pool: one row each (`airshower.pipelines.dispatch.parcels`)."""
    dataset = ray.data.read_datasource(_Parcels(dispatch, pool), override_num_blocks=1, concurrency=1, num_cpus=0)
    dataset.context.target_max_block_size = 1  # every parcel is a block, which goes on at once
    return dataset


class _Parcels(Datasource):
    def __init__(self, dispatch: Dispatch, pool: str) -> None:
        super().__init__()
        self._dispatch, self._pool = dispatch, pool

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(self, parallelism: int, *_: object, **__: object) -> list[ReadTask]:
        del parallelism  # a queue has one end
        dispatch, pool = self._dispatch, self._pool

        def read() -> Iterator[pa.Table]:
            number = 0
            while not isinstance(parcel := dispatch.take(pool, number), Over):
                yield packed(list(parcel.rows))
                number += 1

        unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(read, unknown)]
