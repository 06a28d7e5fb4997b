"""What sandboxed calls do in the tests: each is imported by the child."""

import ctypes
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from airshower.configs.messages import PackedFrames
from airshower.pipelines.decoding.errors import MediaError


def give_back(value: object) -> object:
    return value


def frames() -> PackedFrames:
    return PackedFrames(data=memoryview(bytes(range(12)) * 100_000), coding="none", frames=100_000, height=2, width=2)


def read(path: str) -> str:
    return Path(path).read_text()


def attempts(path: str) -> dict[str, str]:
    """What becomes of everything that reading a row's files doesn't need; `path` is a file that wasn't named."""
    tried: dict[str, Callable[[], object]] = {
        "read": lambda: Path(path).read_text(),
        "list": lambda: os.listdir(os.path.dirname(path)),
        "change": lambda: Path(path).write_text("x"),
        "remove": lambda: os.unlink(path),
        "environment": lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes(),
        "tcp": socket.socket,
        "udp": lambda: socket.socket(type=socket.SOCK_DGRAM),
        "unix": lambda: socket.socket(socket.AF_UNIX),
        "fork": os.fork,
        "execute": lambda: os.execv("/bin/true", ["true"]),
        "signal": lambda: os.kill(os.getppid(), 0),
        "trace": lambda: _checked(ctypes.CDLL(None, use_errno=True).ptrace(16, os.getppid(), None, None)),
        "user": lambda: os.setuid(12345),
        "files": lambda: [os.open("/dev/urandom", os.O_RDONLY) for _ in range(100)],
    }
    return {name: _outcome(attempt) for name, attempt in tried.items()}


def _outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return os.strerror(error.errno or 0)
    return "done"


def _checked(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "")


def surroundings() -> dict[str, object]:
    threads = len(os.listdir("/proc/self/task"))
    thread = threading.Thread(target=time.sleep, args=[0])  # FFmpeg needs some
    thread.start()
    thread.join()
    heavy = sorted({"torch", "ray"} & set(sys.modules))
    return {"environment": sorted(os.environ), "heavy": heavy, "threads": threads}


def fail(kind: str, message: str) -> None:
    raise {
        "ValueError": ValueError,
        "MediaError": MediaError,
        "FileNotFoundError": FileNotFoundError,
        "KeyError": KeyError,
    }[kind](message)


def fill_memory(path: str) -> int:
    with open(path, "rb"):
        return int(np.ones(1 << 30, np.uint8).sum())


def crash(path: str) -> None:
    with open(path, "rb"):
        ctypes.string_at(0)


def leave(path: str) -> None:
    with open(path, "rb"):
        os._exit(3)


def spin(path: str) -> None:
    with open(path, "rb"):
        while True:
            pass


def sleep(path: str) -> None:
    with open(path, "rb"):
        time.sleep(600)


def answer(data: bytes) -> None:
    """Writes to whatever pipe there is, as a child might that was taken over."""
    for number in range(3, 20):
        try:
            if os.readlink(f"/proc/self/fd/{number}").startswith("pipe:"):
                os.write(number, data)
        except OSError:
            continue
    os._exit(0)
