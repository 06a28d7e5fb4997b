"""The report of a run folder, from what its ledger, its manifest and its traces say."""

from collections.abc import Iterator
from itertools import groupby

import pyarrow.parquet as pq

from airshower.cluster import storage
from airshower.cluster.span_files import read_spans
from airshower.cluster.store import open_store
from airshower.pipelines.ledger.ledger import Ledger
from airshower.pipelines.manifest import MANIFEST_NAME
from airshower.platform.report.accounts import Accounts, Report
from airshower.platform.report.causes import FailedRow, failed_row


def read_report(run_folder: str) -> Report:
    """Raises ValueError for a folder that is no run's or whose records can't be read, OSError for storage."""
    ledger = Ledger(open_store(run_folder, probe=False))
    if not ledger.exists:
        raise ValueError(f"{run_folder}: no ledger here, so it is no run folder: name the --output of a run")
    ledger.require()
    accounts = Accounts(runs=ledger.runs())
    for run, spans in groupby(read_spans(ledger.store), key=lambda item: item[0]):
        accounts.add_spans(run, [span for _, span in spans])
    made = ledger.committed()
    for commit in ledger.commits(made):
        accounts.add_commit(commit)
    return accounts.report(_failures(ledger, made))


def _failures(ledger: Ledger, made: set[str]) -> Iterator[FailedRow]:
    """Rows whose last attempt failed, then those of the last run that the ledger keeps no failure of."""
    attempts = {key: number for key, number in ledger.failed().items() if key not in made}
    yield from map(failed_row, ledger.failures(attempts))
    manifest = ledger.store.url(MANIFEST_NAME)
    if not storage.exists(manifest):
        return
    columns = ["name", "key", "error_stage", "error_type", "error_message"]
    with storage.open_file(manifest) as file:
        entries = pq.read_table(file, columns=columns, filters=[("status", "=", "failed")]).to_pylist()
    for entry in entries:
        if entry["key"] not in made and entry["key"] not in attempts:
            said = {key: entry[f"error_{key}"] or "" for key in ("stage", "type", "message")}
            yield FailedRow(name=entry["name"], **said)
