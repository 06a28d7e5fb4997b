"""Runs one function on a row's files in a process of its own: crashes, hangs and floods are that call's error alone.

The child is a fresh Python (never a fork of one that holds Ray or torch) without this one's environment. It may read
the named files, and has limits of memory, CPU time and time by the clock. What it reads may take it over, so its answer
is data that is checked. It costs about half a second of a core; torch, where the function needs it, two more.
"""

import fcntl
import json
import logging
import math
import os
import pickle
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from airshower.pipelines.decoding.errors import MediaError
from airshower.pipelines.sandbox.limits import SandboxLimits
from airshower.pipelines.sandbox.messages import BLOB, FAILED, HEADER, NO_MEMORY, OPENED, VALUE, Job, put_together

_COMMAND = (sys.executable, "-P", "-s", "-m", "airshower.pipelines.sandbox.child")
_ENVIRONMENT = {
    "PYTHONUTF8": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # the other one starts a thread, before rights are given up
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",  # each takes address space
}
_KEPT = ("LD_LIBRARY_PATH",)  # without which some Pythons don't start
_HARM_REMEDY = "it is damaged, or made to do harm: copy or make it again"
_SIZE_REMEDY = "set max_frames, or make it smaller"
_LOOK_S = 0.2  # how soon a signal, or that the caller has stopped, is noticed
_PIPE_BYTES = 1 << 20  # what every user may have; frames are many
_MOST_TEXT_BYTES = 64 << 20  # of an answer, beside its frames
_MOST_MESSAGE, _MOST_TRACE = 2000, 20_000  # characters
_ERRORS: tuple[type[Exception], ...] = (ValueError, MediaError, OSError, FileNotFoundError, PermissionError)
_ERRORS += (IsADirectoryError, NotADirectoryError)

_log = logging.getLogger(__name__)

T = TypeVar("T")


class SandboxError(ValueError):
    """A call's process ended without an answer, or took more than it may; one line with the file and the remedy."""


class StoppedError(Exception):
    """The caller needs the answer no longer."""


def sandboxed(
    function: Callable[..., T],
    *arguments: Any,  # noqa: ANN401 - those of any function
    limits: SandboxLimits,
    readable: Sequence[str],
    stopped: Callable[[], bool] = lambda: False,
) -> T:
    """`function(*arguments)`, which reads `readable` (files, or folders with what is in them) and no other file.

    Function and arguments are pickled; what it returns is JSON's, bytes or what rows are prepared as. Its ValueError
    and OSError are raised here, RuntimeError for another exception of it. Raises SandboxError where it can't go on, and
    StoppedError soon after `stopped()` is true.
    """
    job = Job(function=function, arguments=arguments, limits=limits, readable=tuple(readable), parent=os.getpid())
    with _started(job) as process:
        answers = _Answers(process, job, stopped)
        try:
            return answers.value()
        except _EndedError:
            raise SandboxError(f"{answers.reading}: {_why_ended(process.wait(), limits)}") from None
        except _LateError:
            raise SandboxError(f"{answers.reading}: {_too_slow(limits, 'longer than')}") from None


@contextmanager
def _started(job: Job) -> Iterator[subprocess.Popen[bytes]]:
    environment = _ENVIRONMENT | {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if os.path.isabs(path))
    with tempfile.TemporaryFile() as file:  # not a pipe, which would wait for the child
        pickle.dump(job, file)
        file.seek(0)
        # In a group of its own: what signals to a group mean is the parent's matter.
        how: dict[str, Any] = {"env": environment, "cwd": "/", "process_group": 0}
        with subprocess.Popen(_COMMAND, stdin=file, stdout=subprocess.PIPE, bufsize=0, **how) as process:
            try:
                yield process
            finally:
                process.kill()


class _EndedError(Exception):
    """The child has closed its end."""


class _LateError(Exception):
    """The time is over."""


class _Answers:
    """Reads a child's messages; what they announce and hold is bounded."""

    def __init__(self, process: "subprocess.Popen[bytes]", job: Job, stopped: Callable[[], bool]) -> None:
        assert process.stdout is not None  # it is a pipe
        self.reading = "the row's files"  # or the one that the child opened last
        self._pipe = process.stdout.fileno()
        os.set_blocking(self._pipe, False)
        fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._readable, self._stopped = job.readable, stopped
        self._end_s = time.monotonic() + job.limits.timeout_s
        self._left_bytes = job.limits.memory_bytes

    def value(self) -> Any:  # noqa: ANN401 - whatever the function returns
        """What the function returned; raises what it raised, or what became of its process."""
        try:
            kind, body = self._message(OPENED, FAILED, VALUE)
            while kind == OPENED:
                self._note_opened(body.decode("utf-8", "surrogateescape"))
                kind, body = self._message(OPENED, FAILED, VALUE)
            answer = json.loads(body)
            if kind == VALUE:
                blobs = [self._message(BLOB)[1] for _ in range(answer["blobs"])]
                return put_together(answer["value"], blobs)
            name, message, trace = map(str, answer)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise SandboxError(f"{self.reading}: the process that read it gave no answer: {_HARM_REMEDY}") from error
        raise self._failure(name, message[:_MOST_MESSAGE], trace[-_MOST_TRACE:])

    def _failure(self, name: str, message: str, trace: str) -> Exception:
        if name == NO_MEMORY:
            return SandboxError(f"{self.reading}: needs more memory than a row may take here: {_SIZE_REMEDY}")
        known = {error.__name__: error for error in _ERRORS}.get(name)
        if known is not None:
            return known(message)
        _log.error("in the process that read %s: %s", self.reading, trace)
        return RuntimeError(f"{self.reading}: {name}: {message}")

    def _note_opened(self, path: str) -> None:
        if path in self._readable or os.path.dirname(path) in self._readable:
            self.reading = path

    def _message(self, *kinds: bytes) -> tuple[bytes, bytes]:
        kind, length = HEADER.unpack(self._read(HEADER.size))
        self._left_bytes -= length
        if kind not in kinds or self._left_bytes < 0 or (kind != BLOB and length > _MOST_TEXT_BYTES):
            raise ValueError("no message of ours")
        return kind, self._read(length)

    def _read(self, size: int) -> bytes:
        data = bytearray(size)
        place = memoryview(data)
        while len(place):
            if self._stopped():
                raise StoppedError
            if time.monotonic() > self._end_s:
                raise _LateError
            select.select([self._pipe], [], [], _LOOK_S)
            try:
                count = os.readv(self._pipe, [place])
            except BlockingIOError:
                continue
            if not count:
                raise _EndedError
            place = place[count:]
        return bytes(data)


def _why_ended(code: int, limits: SandboxLimits) -> str:
    if code == -signal.SIGXCPU:
        return _too_slow(limits, "more CPU time than")
    if code == -signal.SIGKILL:
        return f"the process that read it was killed, as where memory runs out: {_SIZE_REMEDY}"
    ended = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
    return f"ended the process that read it ({ended}): {_HARM_REMEDY}"


def _too_slow(limits: SandboxLimits, what: str) -> str:
    allowed_s = math.ceil(limits.timeout_s)
    return f"reading it took {what} the {allowed_s} s that a row may take here: {_SIZE_REMEDY}"
