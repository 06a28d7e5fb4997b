"""The driver's part against processes that hang: each is looked at on its own machine, and ended if it does.

What follows is what follows the death of any process: Ray starts another one, and the rows are tried again. A process
that can't be looked at, because its node is gone or hangs itself, is left to Ray, which gives up the whole node.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from airshower.cluster.hung_processes import Process, end_if_hung
from airshower.pipelines.dispatch.handle import Dispatch
from airshower.pipelines.dispatch.pulse import Pulse

if TYPE_CHECKING:
    from ray import ObjectRef


class HungProcesses:
    """Workers that are being looked at, and the dispatcher."""

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self._pulse: Pulse[Process] = Pulse()
        self._looks: dict[ObjectRef, Process] = {}
        self._unanswered_s = 0.0

    def answered(self, alive: Iterable[Process], now_s: float) -> None:
        """The dispatcher has answered, and named workers that live; others may be looked at, which isn't waited for."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._unanswered_s = 0.0
        self._pulse.look(now_s)
        for process in alive:
            self._pulse.hear(process)
        for process in self._pulse.silent(self._dispatch.hang_timeout_s):
            there = NodeAffinitySchedulingStrategy(process.node, soft=False)
            options: dict[str, Any] = {"num_cpus": 0, "max_retries": 0, "scheduling_strategy": there}
            self._looks[ray.remote(**options)(end_if_hung).remote(process)] = process

    def unanswered(self, seconds: float) -> None:
        """The dispatcher was waited for in vain."""
        self._unanswered_s += seconds

    def ended(self) -> Iterator[str]:
        """What was found hung and is ended now, in words and each once."""
        limit_s = self._dispatch.hang_timeout_s
        if self._unanswered_s >= limit_s:
            self._unanswered_s = 0.0
            self._dispatch.restart()
            yield f"the dispatcher has said nothing for {limit_s:g} s: it is ended, and started again"
        for process in self._found():
            yield (
                f"process {process.pid} on {process.host} has said nothing for {limit_s:g} s, and does nothing: "
                "it is ended, and its rows are tried again"
            )

    def _found(self) -> Iterator[Process]:
        import ray

        done, _ = ray.wait(list(self._looks), num_returns=len(self._looks), timeout=0) if self._looks else ([], [])
        for look in done:
            process = self._looks.pop(look)
            try:
                if ray.get(look):
                    yield process
            except ray.exceptions.RayError:  # its node is gone, or hangs itself
                pass
