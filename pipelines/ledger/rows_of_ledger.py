"""Rows as the ledger alone knows them, for a manifest that doesn't: their names and sources are those of their time."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from airshower.configs.messages import Row
from airshower.configs.records import Commit, Failure
from airshower.pipelines.ledger.ledger import CommitFile, Ledger
from airshower.pipelines.ledger.missing import error_of, made_entry
from airshower.pipelines.ledger.reading import Tell
from airshower.pipelines.ledger.run_records import RunRecords
from airshower.pipelines.manifest import ManifestEntry, entry_of


def made_rows(ledger: Ledger, committed: Mapping[str, CommitFile], tell: Tell) -> Iterator[ManifestEntry]:
    """Of commits that count; what can't be read is told and left out, here and below."""
    for commit in ledger.commits(committed, tell):
        entry = made_entry(_row(commit), commit, committed[commit.key].size_bytes)
        yield replace(entry, run=commit.run)


def failed_rows(ledger: Ledger, attempts: Mapping[str, int], tell: Tell) -> Iterator[ManifestEntry]:
    """Of rows that failed by their own fault."""
    return (_failed(failure) for failure in ledger.failures(attempts, tell))


def passing_failures(ledger: Ledger, tell: Tell) -> Iterator[ManifestEntry]:
    """Of rows that failed for the moment, in all runs since the last fresh start."""
    records = RunRecords(ledger)
    return (_failed(failure) for run in records.ids() for failure in records.failures(run, tell))


def _failed(failure: Failure) -> ManifestEntry:
    return replace(entry_of(replace(_row(failure), error=error_of(failure))), run=failure.run)


def _row(record: Commit | Failure) -> Row:
    prompt = record.prompt if isinstance(record, Commit) else ""
    return Row(index=0, name=record.name, source=record.source, spec=None, prompt=prompt, key=record.key)
