"""Rows with their keys, as a run begins: every input is looked at once, however many rows name it."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice

from airshower.cluster.content_identity import ContentIdentities
from airshower.configs.messages import Row
from airshower.configs.model_source import ModelSource
from airshower.pipelines.ledger.keys import inputs_of, nth_key, row_key
from airshower.pipelines.spool import Spool

_READERS = 16  # threads; they wait for storage
_BATCH = 2000  # rows that get their keys side by side


def with_keys(rows: Sequence[Row], source: ModelSource, *, salt: str) -> Sequence[Row]:
    """The rows with keys, kept on disk; those whose inputs or weights can't be read have an error and no key.

    Rows that are equal are numbered, so that all of them are made. Raises WeightsError where there are no weights.
    """
    from airshower.actors.weights_identity import WeightsIdentities  # loads torch

    if all(row.spec is None for row in rows):
        return rows
    contents = ContentIdentities()
    weights = WeightsIdentities(source, contents)

    def keyed(row: Row) -> Row:
        if row.error is not None or row.spec is None:
            return row
        try:
            key = row_key(row, content=contents.of, weights=weights.of(row.spec), salt=salt)
        except (OSError, ValueError) as error:
            return row.failed("read", type(error)(f"{row.source} ({row.name}): {error}"))
        return replace(row, key=key, inputs=inputs_of(row.spec, contents.of))

    seen: Counter[bytes] = Counter()
    numbered: Spool[Row] = Spool()
    rest = iter(rows)
    with ThreadPoolExecutor(_READERS) as pool:
        while batch := list(islice(rest, _BATCH)):
            for row in pool.map(keyed, batch):
                if row.key:
                    seen[place := bytes.fromhex(row.key)] += 1
                    row = replace(row, key=nth_key(row.key, seen[place]))
                numbered.append(row)
    return numbered
