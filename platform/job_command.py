"""A command that will run on a cluster, checked before anything starts: a wrong flag is said here, not there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import typer


@dataclass(frozen=True, kw_only=True)
class JobCommand:
    """A call of `airshower` whose flags are right."""

    arguments: tuple[str, ...]
    specs: tuple[str, ...]  # of commands that take rows
    output: str


def job_command(context: typer.Context, words: Sequence[str]) -> JobCommand:
    """The command in `words`; raises ValueError, and what the parser raises for flags.

    `context` is that of the command that wants to run it, a sister of it.
    """
    assert context.parent is not None
    commands: dict[str, Any] = context.parent.find_root().command.commands  # type: ignore[attr-defined]
    with_output = {name for name, known in commands.items() if any(each.name == "output" for each in known.params)}
    name, *rest = words
    if name not in with_output:
        raise ValueError(f"a job can't be {name!r}: use one of {', '.join(sorted(with_output))}")
    given = commands[name].make_context(name, list(rest), parent=context.parent).params
    if given.get("address"):
        raise ValueError("a job runs on the cluster that it is given to: leave --address out of its command")
    if given["output"] is None:
        raise ValueError("a job needs a place that outlives it: add --output s3://BUCKET/RUN to its command")
    return JobCommand(arguments=tuple(words), specs=tuple(given.get("specs") or ()), output=str(given["output"]))
