"""Files that no commit names: what attempts left that were cut short, or that lost to another."""

from airshower.pipelines.ledger.ledger import DATA, Ledger


def orphans(ledger: Ledger) -> list[str]:
    """Folders of attempts without a commit, sorted. Those of a run that is at work look the same."""
    folders = {f"{DATA}/{name.partition('/')[0]}" for name in ledger.store.names(DATA)}
    return sorted(folders - {commit.folder for commit in ledger.commits(ledger.committed())})
