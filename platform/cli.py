"""The `airshower` command: registers the commands and turns what they raise into exit codes.

0 means that all was done, 1 that rows failed or the program is at fault, 2 that the call or its input is, 130 that
Ctrl-C came. An error is one line on stderr; `--verbose` adds the traceback. Heavy libraries are imported inside the
commands, so that `--help` answers at once.
"""

import os
import signal
import sys
import traceback
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from typing import Annotated, Any

import typer

import airshower
from airshower.cluster.leaving import interrupted_once
from airshower.cluster.session import set_ray_environment
from airshower.platform.commands.check import check
from airshower.platform.commands.checkpoint import checkpoint_app
from airshower.platform.commands.cluster import cluster_app
from airshower.platform.commands.data import data_app
from airshower.platform.commands.evaluate import evaluate
from airshower.platform.commands.export import export
from airshower.platform.commands.generate import generate
from airshower.platform.commands.memory import memory
from airshower.platform.commands.plan import plan
from airshower.platform.commands.report import report
from airshower.platform.commands.runs import runs_app
from airshower.platform.commands.serve import serve
from airshower.platform.commands.spec import spec_app
from airshower.platform.commands.submit import submit
from airshower.platform.commands.train import train
from airshower.platform.help_text import make_readable

_OUTPUTS = ("--output", "-o")
INTERRUPTED = 130  # 128 + SIGINT, as shells have it

app = typer.Typer(
    name="airshower",
    help="Control videos and a prompt in, photoreal world videos out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"airshower {airshower.__version__}")
        raise typer.Exit


@app.callback()
def _airshower(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Control videos and a prompt in, photoreal world videos out."""


app.command("generate")(generate)
app.command("train")(train)
app.command("evaluate")(evaluate)
app.command("export")(export)
app.command("serve")(serve)
app.command("check")(check)
app.command("memory")(memory)
app.command("submit", context_settings={"allow_interspersed_args": False})(submit)
app.command("plan")(plan)
app.command("report")(report)
app.add_typer(runs_app, name="runs")
app.add_typer(cluster_app, name="cluster")
app.add_typer(data_app, name="data")
app.add_typer(spec_app, name="spec")
app.add_typer(checkpoint_app, name="checkpoint")


def main(arguments: list[str] | None = None) -> None:
    """Runs one command line (that of the process by default) and exits with its code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    set_ray_environment(verbose="--verbose" in arguments)  # before a command imports Ray
    sys.exit(_run(arguments))


def _run(arguments: list[str]) -> int:
    try:
        command = typer.main.get_command(app)
        make_readable(command)  # type: ignore[arg-type] # Typer makes its own kind of command
        _require_working_directory()
        _require_named_output(arguments)
        with _interrupts():
            return command(arguments, prog_name="airshower", standalone_mode=False) or 0
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe has seen enough
        sys.stderr.close()
        return 1
    except Exception as error:  # noqa: BLE001 - whatever a command raises, the user gets one line
        if "--verbose" in arguments:
            traceback.print_exc()
        return _report(error, arguments)


def _interrupts() -> AbstractContextManager[None]:
    """Ctrl-C counts once where it is heard at all: behind a shell's `&` it isn't."""
    heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return interrupted_once(signal.SIGINT) if heard else nullcontext()


def _require_working_directory() -> None:
    try:
        os.getcwd()
    except OSError as error:
        raise OSError(f"the working directory is gone ({error.strerror}): change to another one") from error


def _require_named_output(arguments: list[str]) -> None:
    """An empty name would be the working directory: a script's variable that isn't set."""
    if "--output=" in arguments or any(pair in ((flag, "") for flag in _OUTPUTS) for pair in pairwise(arguments)):
        raise ValueError("--output is empty: give a folder, or . for the working directory")


def _command_path(arguments: list[str]) -> str:
    """The command that a call names, with those above it."""
    path, command = ["airshower"], typer.main.get_command(app)
    for word in arguments:
        below: dict[str, Any] = getattr(command, "commands", {})
        if word not in below:
            break
        path.append(word)
        command = below[word]
    return " ".join(path)


def _report(error: Exception, arguments: list[str]) -> int:
    """Prints the error as one line and returns the exit code that belongs to it."""
    # Typer hands on usage errors of its parser, whose base class differs between its versions
    if hasattr(error, "format_message"):
        reason = error.format_message().removeprefix("Invalid value: ")
        if not reason:  # a call without arguments, which got the help
            return 2
        message, code = f"{reason} ({_command_path(arguments)} --help explains the flags)", 2
    elif isinstance(error, ValueError | OSError | RuntimeError):
        message, code = str(error), 2
    elif _is_of_ray(error):
        message, code = f"Ray: {error}: the machine may be overloaded, see Ray's logs; --verbose shows more", 1
    else:
        message, code = f"{type(error).__name__}: {error}: this is a bug, --verbose shows where", 1
    print("airshower:", " ".join(message.split()), file=sys.stderr)
    return code


def _is_of_ray(error: Exception) -> bool:
    """Whether Ray raised it, which is too heavy to import for the question: a busy machine is not our bug."""
    return any(kind.__module__.partition(".")[0] == "ray" for kind in type(error).__mro__)
