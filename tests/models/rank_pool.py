"""Processes that tests run as the ranks of a gang; they are kept for all tests of a file, whatever gang those want."""

import multiprocessing
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from airshower.models.mesh_groups import join_gang, leave_gang

CPU = torch.device("cpu")
MOST_RANKS = 4
ANSWER_S = 60.0
COLLECTIVE_S = 30.0  # a rank that has failed leaves the others waiting for so long


class RankPool:
    """`run` calls a function on all ranks of a gang: its first argument is the rank's mesh."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.models.mesh_cases"])  # PyTorch is imported once
        self._folder = tempfile.TemporaryDirectory()
        self._pipes, self._processes = [], []
        for _ in range(MOST_RANKS):
            pipe, end = context.Pipe()
            process = context.Process(target=_serve, args=(end,), daemon=True)
            process.start()
            end.close()
            self._pipes.append(pipe)
            self._processes.append(process)
        self._gangs = 0
        self._layout = None

    def run(self, layout, function: Callable[..., Any], *arguments) -> list[Any]:
        """What each rank returns; raises what the first rank raises that does."""
        if layout != self._layout:
            self._gangs += 1
            self._layout = layout
        rendezvous = (Path(self._folder.name) / f"gang{self._gangs}").as_uri()
        pipes = self._pipes[: layout.ranks]
        for rank, pipe in enumerate(pipes):
            pipe.send((layout, rank, rendezvous, function, arguments))
        answers = []
        for rank, pipe in enumerate(pipes):
            assert pipe.poll(ANSWER_S), f"rank {rank} doesn't answer"
            answers.append(pipe.recv())
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    def close(self) -> None:
        for pipe, process in zip(self._pipes, self._processes, strict=True):
            pipe.close()
            process.terminate()
            process.join()
        self._folder.cleanup()


def _serve(pipe) -> None:
    torch.set_num_threads(1)
    joined, mesh = None, None
    while True:
        try:
            layout, rank, rendezvous, function, arguments = pipe.recv()
        except EOFError:
            return
        try:
            if joined != rendezvous:
                if joined is not None:
                    leave_gang()
                mesh = join_gang(layout, rank, rendezvous, CPU, timeout_s=COLLECTIVE_S)
                joined = rendezvous
            with torch.inference_mode():
                pipe.send(function(mesh, *arguments))
        except Exception as error:  # noqa: BLE001 - the test sees it
            pipe.send(error)
