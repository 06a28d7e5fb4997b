"""The process of one sandboxed call: takes the job from its parent, gives its rights up, works, answers and ends.

    python -m airshower.pipelines.sandbox.child

The job, on standard input, is the parent's pickle; what goes back through standard output is messages
(`airshower.pipelines.sandbox.messages`). Modules are imported while the job is read, before rights are given up; those
that are imported only when a file needs them are read under the rules.
"""

import json
import os
import pickle
import sys
import traceback
from collections.abc import Sequence
from typing import IO, Any

from airshower.pipelines.decoding.errors import MediaError
from airshower.pipelines.sandbox.confinement import confine, end_with_parent
from airshower.pipelines.sandbox.limits import apply_limits
from airshower.pipelines.sandbox.messages import BLOB, FAILED, HEADER, NO_MEMORY, OPENED, VALUE, Job, taken_apart


def main() -> None:
    """Does the job on standard input."""
    end_with_parent()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    job = pickle.load(sys.stdin.buffer)
    if os.getppid() != job.parent:  # which ended before it could be watched
        return
    confine(job.readable)
    apply_limits(job.limits)
    _tell_opened(job.readable, answers)
    failure, value = _outcome(job)
    if failure is not None:
        _send(answers, FAILED, json.dumps(failure).encode())
    else:
        text, blobs = taken_apart(value)
        _send(answers, VALUE, text)
        for blob in blobs:
            _send(answers, BLOB, blob)
    os._exit(0)  # threads of libraries have nothing to tidy up


def _send(answers: IO[bytes], kind: bytes, body: bytes | memoryview) -> None:
    answers.write(HEADER.pack(kind, len(body)))
    answers.write(body)
    answers.flush()


def _outcome(job: Job) -> tuple[tuple[str, str, str] | None, Any]:
    """(an error's type, message and trace or None, what the function returned)."""
    try:
        return None, job.function(*job.arguments)
    except MemoryError:
        failure = (NO_MEMORY, "", "")  # sent from outside, where what was held is free again
    except (ValueError, OSError) as error:
        failure = (_plain_type(error), str(error), "")
    except Exception as error:  # noqa: BLE001 - a fault of ours, or of a library
        failure = (type(error).__name__, str(error), traceback.format_exc())
    return failure, None


def _plain_type(error: Exception) -> str:
    """The name of the error's type, or of the built-in one that it is a kind of."""
    kinds = type(error).__mro__
    return next(kind.__name__ for kind in kinds if kind is MediaError or kind.__module__ == "builtins")


def _tell_opened(readable: Sequence[str], answers: IO[bytes]) -> None:
    """From now on the parent hears which of the files is opened: should this process end, it was that one."""
    told: list[str] = []

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(arguments[0], str) or arguments[0] in told[-1:]:
            return
        path = arguments[0]
        if path in readable or os.path.dirname(path) in readable:
            told[:] = [path]
            _send(answers, OPENED, path.encode("utf-8", "surrogateescape"))

    sys.addaudithook(hear)


if __name__ == "__main__":
    main()
