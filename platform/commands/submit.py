"""`airshower submit`: one of the other commands, as a job on a Ray cluster that runs elsewhere.

The job gets a copy of the working directory, and of this package where the directory isn't its checkout, so that the
cluster needs our dependencies but not us. What it makes has to outlive it: its output is a URL, or a folder that all
nodes share. Credentials of storage are the cluster's own; none travel with a job.
"""

import hashlib
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import airshower
from airshower.cluster import storage
from airshower.platform.job_command import JobCommand, job_command

if TYPE_CHECKING:
    from airshower.cluster.jobs import Job, JobServer


def submit(
    context: typer.Context,
    command: Annotated[
        list[str],
        typer.Argument(
            metavar="COMMAND",
            help="generate, train or evaluate with its flags, --output among them",
            show_default=False,
        ),
    ],
    *,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDR",
            help="Cluster: http://HEAD:8265, or as for ray.init; default: RAY_ADDRESS, or a cluster on this machine",
        ),
    ] = None,
    job_id: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", help="Submission id; default: made of the command", show_default=False),
    ] = None,
    no_follow: Annotated[
        bool, typer.Option("--no-follow", help="Leave once the job is handed in; the same call follows it later")
    ] = False,
    shared_output: Annotated[
        bool,
        typer.Option("--shared-output", help="The command's --output is a folder that every node sees at this path"),
    ] = False,
) -> None:
    """Run a command as a job on a Ray cluster and follow it to its end.

    A cluster takes each id once: a second call says what became of the first job, and follows it. The exit code is
    that of the job; Ctrl-C leaves it running.
    """
    arguments = _checked(job_command(context, command), shared_output)
    chosen = job_id or _id_of(arguments)
    entrypoint = shlex.join(["python", "-m", "airshower", *arguments])

    from airshower.cluster.jobs import JobServer

    server = JobServer(address)
    metadata = {"airshower": airshower.__version__}
    if server.submit(chosen, entrypoint, runtime_env=_runtime_env(Path.cwd()), metadata=metadata):
        _say(f"{chosen}: handed in to {server.address}")
    else:
        _say_what_became_of_it(server, chosen, entrypoint)
    if no_follow:
        return
    try:
        job = server.follow(chosen, lambda text: print(text, end="", flush=True))
    except KeyboardInterrupt:
        _say(f"{chosen} runs on: the same call follows it again, `ray job stop {chosen}` ends it")
        raise
    _say(_ending(job))
    raise typer.Exit(job.exit_code)


def _checked(command: JobCommand, shared_output: bool) -> list[str]:
    """The command's words with its output as the job needs it; raises ValueError before anything is uploaded."""
    for spec in command.specs:
        _require_uploaded(spec)
    if storage.is_url(command.output):
        return list(command.arguments)
    if not shared_output:
        raise ValueError(
            f"--output {command.output} would lie on the disks of single nodes: give a URL such as s3://BUCKET/RUN, "
            "or add --shared-output where every node sees that folder"
        )
    absolute = storage.absolute(command.output)  # the job has a working directory of its own
    forms = {f"{flag}{command.output}": f"{flag}{absolute}" for flag in ("", "--output=", "-o")}
    return [forms.get(word, word) for word in command.arguments]


def _require_uploaded(spec: str) -> None:
    if spec == "-":
        raise ValueError("rows on standard input don't reach a job: write them to a file, and name it")
    if storage.is_url(spec) or os.path.isabs(spec):
        return
    if os.path.normpath(spec).startswith(os.pardir):
        raise ValueError(f"{spec} is outside the working directory, which alone is uploaded: call from a folder above")
    if not os.path.exists(spec):
        raise ValueError(f"{spec} does not exist: name a file or folder in the working directory, or a URL")


def _id_of(arguments: Sequence[str]) -> str:
    """The same for the same command and output."""
    return f"airshower-{hashlib.sha256(json.dumps(list(arguments)).encode()).hexdigest()[:12]}"


def _runtime_env(working_directory: Path) -> dict[str, Any]:
    environment: dict[str, Any] = {"working_dir": str(working_directory)}
    if not (working_directory / "airshower" / "__main__.py").exists():
        environment["py_modules"] = [str(Path(airshower.__file__).parent)]
    return environment


def _say_what_became_of_it(server: "JobServer", job_id: str, entrypoint: str) -> None:
    job = server.find(job_id)
    if job is None:
        raise ValueError(f"{job_id} was deleted just now: call again")
    if job.entrypoint != entrypoint:
        raise ValueError(f"{job_id} is the id of another command, `{job.entrypoint}`: choose another --id")
    _say(f"{job_id}: handed in before, so nothing is started; its state is {job.state}")


def _ending(job: "Job") -> str:
    if job.state == "SUCCEEDED":
        return f"{job.id} succeeded"
    reason = job.message.partition(", last available logs")[0] or "no reason was given"
    return f"{job.id} {job.state.lower()}: {reason}; to go on where it ended, use another id: --id {job.id}-2"


def _say(line: str) -> None:
    print(f"airshower: {line}", file=sys.stderr, flush=True)
