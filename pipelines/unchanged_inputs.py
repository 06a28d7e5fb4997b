"""Whether a row's files still hold what its key says, once they were read: a clip under that key is of these and no
others, however long the run has been going on.
"""

from airshower.cluster.content_identity import ContentIdentities
from airshower.configs.messages import Row
from airshower.pipelines.ledger.keys import inputs_of


class InputChangedError(ValueError):
    """A row's file was replaced after the row got its key; another run gives it another key."""


def require_unchanged_inputs(row: Row) -> None:
    """Raises InputChangedError, naming the field, for a file that isn't what it was when the run began.

    A local file is looked at by its state, and read again where that has changed or this machine doesn't know it yet; a
    remote one is asked for by one request.
    """
    if row.spec is None or not row.inputs:  # outside of a run nothing is kept under a key
        return
    files = row.spec.files()
    try:
        now = inputs_of(row.spec, ContentIdentities().of)
    except FileNotFoundError as error:
        raise InputChangedError(f"{error}: it was there when this run began: run the same command again") from None
    for name, before in row.inputs.items():
        if now[name] != before:
            raise InputChangedError(
                f"{name}: {files[name]} was replaced while this run was under way: the same command again makes the "
                "row of what it holds now"
            )
