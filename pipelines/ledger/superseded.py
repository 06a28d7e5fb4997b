"""Keys of rows that no longer count, since others of their names do: a memory that saves reading their records.

    ledger/superseded    32 bytes each, sorted

Two runs that write it at once may lose each other's: those rows are read once more.
"""

from collections.abc import Iterable

from airshower.pipelines.ledger.ledger import Ledger

_PATH, _KEY_BYTES = "ledger/superseded", 32


def read_superseded(ledger: Ledger) -> frozenset[str]:
    """The keys; none where the file is gone or damaged."""
    try:
        data = ledger.store.read(_PATH)
    except FileNotFoundError:
        return frozenset()
    return frozenset(data[begin : begin + _KEY_BYTES].hex() for begin in range(0, len(data), _KEY_BYTES))


def write_superseded(ledger: Ledger, keys: Iterable[str]) -> None:
    """Replaces the file, unless it says the same; raises OSError."""
    keys = frozenset(keys)
    if keys != read_superseded(ledger):
        ledger.store.write(_PATH, b"".join(bytes.fromhex(key) for key in sorted(keys)))
