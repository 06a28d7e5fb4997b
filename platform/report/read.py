"""The report of a run folder, from what its ledger, its manifest and its traces say."""

import logging
from itertools import groupby

from airshower.cluster.span_files import read_spans
from airshower.cluster.store import open_store
from airshower.pipelines.folder_state import state_of
from airshower.pipelines.ledger.ledger import Ledger
from airshower.pipelines.ledger.reading import Tell
from airshower.pipelines.ledger.run_records import RunRecords
from airshower.platform.report.accounts import Accounts, Report

_log = logging.getLogger(__name__)


def read_report(run_folder: str, tell: Tell = _log.warning) -> Report:
    """Of what was made since the last fresh start; what can't be read is told and left out.

    Raises ValueError for a folder that is no run's, OSError for storage.
    """
    ledger = Ledger(open_store(run_folder, probe=False))
    if not ledger.exists:
        raise ValueError(f"{run_folder}: no ledger here, so it is no run folder: name the --output of a run")
    ledger.require()
    runs = [run for run in RunRecords(ledger).all(tell) if run.epoch == ledger.epoch]
    accounts, since = Accounts(runs=runs), {run.run for run in runs}
    for run, spans in groupby(read_spans(ledger.store, tell), key=lambda item: item[0]):
        if run in since:
            accounts.add_spans(run, [span for _, span in spans])
    for commit in ledger.commits(ledger.committed(), tell):
        accounts.add_commit(commit)
    state = state_of(ledger, tell)
    return accounts.report(state.failed + state.unmade)
