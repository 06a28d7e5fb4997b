"""Rows on the way between stages: several of them pickled into one cell of a table, which is a block of Ray Data."""

import pickle

import pyarrow as pa


def packed(values: list) -> pa.Table:
    """Rows (or manifest entries) as a table of one cell; large_binary, because 2 GiB is not enough for all."""
    return pa.table({"parcel": pa.array([pickle.dumps(values)], pa.large_binary())})


def unpacked(table: pa.Table) -> list:
    """What `packed` packed, of every row of the table."""
    return [value for cell in table.column("parcel") for value in pickle.loads(cell.as_buffer())]
