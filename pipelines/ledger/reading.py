"""Reading records of a ledger, many side by side; one that is damaged is named, and never believed."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from pydantic import BaseModel, ValidationError

READERS = 32  # threads; they wait for storage
_BATCH = 1_000  # records that are asked for at a time

R = TypeVar("R", bound=BaseModel)
Item = TypeVar("Item")
Found = TypeVar("Found")
Tell = Callable[[str], None]  # hears of what can't be read, a line each


class LedgerError(ValueError):
    """A ledger, or a record of it, can't be used; the message names it and the remedy."""


def record_of(kind: type[R], data: bytes, where: str, **wanted: object) -> R:
    """A record of its file; raises LedgerError for a damaged one, or another's than of the fields that are `wanted`."""
    try:
        found = kind.model_validate_json(data)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise LedgerError(f"{where}: is damaged, no {kind.__name__.lower()} of this ledger ({reason})") from None
    for name, value in wanted.items():
        if getattr(found, name) != value:
            raise LedgerError(f"{where}: is damaged, the {kind.__name__.lower()} of another {name}")
    return found


def side_by_side(read: Callable[[Item], Found], items: Iterable[Item]) -> Iterator[Found]:
    """What is read for each item, in their order, by threads that wait for storage."""
    rest = iter(items)
    with ThreadPoolExecutor(READERS) as pool:
        while batch := list(islice(rest, _BATCH)):
            yield from pool.map(read, batch)
