"""Files that nobody needs: what attempts left that were cut short or lost to another, and chunks of rows that are made.

Chunks of rows that are not made stay: the next run goes on from them.
"""

from airshower.pipelines.ledger.ledger import CHUNKS, DATA, Ledger, chunks_folder


def orphans(ledger: Ledger) -> list[str]:
    """Folders of attempts without a commit, sorted. Those of a run that is at work look the same."""
    folders = {f"{DATA}/{name.partition('/')[0]}" for name in ledger.store.names(DATA)}
    return sorted(folders - {commit.folder for commit in ledger.commits(ledger.committed())})


def needless_chunks(ledger: Ledger) -> list[str]:
    """Folders of chunks whose rows are made, sorted: their process ended between the commit and their removal."""
    begun = {name.partition("/")[0] for name in ledger.store.names(CHUNKS)}
    return sorted(chunks_folder(key) for key in begun & ledger.committed()) if begun else []
