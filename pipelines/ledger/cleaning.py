"""Files that nobody needs: what attempts left that were cut short or lost to another, files of damaged clips that were
made again, and chunks of rows that are made.

Chunks of rows that are not made stay: the next run goes on from them. So does what has another form of name, which is
somebody else's, and what the manifest has as a clip: its commit may be lost.
"""

from collections.abc import Iterator

from airshower.pipelines.ledger.damage import ATTEMPT
from airshower.pipelines.ledger.ledger import CHUNKS, DATA, Ledger, chunks_folder
from airshower.pipelines.ledger.reading import LedgerError
from airshower.pipelines.manifest import find_manifest


def orphans(ledger: Ledger) -> list[str]:
    """Folders of attempts without a commit that counts, sorted. Those of a run that is at work look the same.

    Raises LedgerError while a commit can't be read: nobody knows which files are its own.
    """
    names = {name.partition("/")[0] for name in ledger.store.names(DATA)}
    folders = {f"{DATA}/{name}" for name in names if ATTEMPT.fullmatch(name)}
    return sorted(folders.difference(_committed_folders(ledger), _shown_folders(ledger)))


def needless_chunks(ledger: Ledger) -> list[str]:
    """Folders of chunks whose rows are made, sorted: their process ended between the commit and their removal."""
    begun = {name.partition("/")[0] for name in ledger.store.names(CHUNKS)}
    return sorted(chunks_folder(key) for key in begun & ledger.committed().keys()) if begun else []


def _committed_folders(ledger: Ledger) -> Iterator[str]:
    """Those of all fresh starts: their clips don't count any more, and stay."""

    def refuse(line: str) -> None:
        raise LedgerError(f"{line}: run the folder's last command again, which makes the row again")

    for epoch in range(ledger.epoch + 1):
        before = Ledger(ledger.store, epoch)
        yield from (commit.folder for commit in before.commits(before.committed(), refuse))


def _shown_folders(ledger: Ledger) -> Iterator[str]:
    for batch in find_manifest(ledger.store).batches(["record"]):
        yield from (record.rpartition("/")[0] for record in batch.column(0).to_pylist() if record)
