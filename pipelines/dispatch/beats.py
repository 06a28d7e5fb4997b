"""A process of a run says now and then that it lives, from a thread of its own, as long as there is a dispatcher.

A clip may take hours without a word of its progress; the thread has its turn all the same, so only a process that is
stopped, or stuck as a whole, falls silent. Ray is imported where it is used, as in `dispatcher`.
"""

import threading
from typing import TYPE_CHECKING

from airshower.cluster.hung_processes import this_process

if TYPE_CHECKING:
    from ray.actor import ActorHandle

    from airshower.pipelines.dispatch.dispatcher import Dispatcher


def beat(dispatcher: "ActorHandle[Dispatcher]", interval_s: float) -> None:
    """From now on, if this process doesn't do so yet."""
    name = f"beats for {dispatcher._actor_id.hex()}"
    if all(thread.name != name for thread in threading.enumerate()):
        threading.Thread(target=_beat, args=(dispatcher, interval_s), name=name, daemon=True).start()


def _beat(dispatcher: "ActorHandle[Dispatcher]", interval_s: float) -> None:
    import ray

    me, pause = this_process(ray.get_runtime_context().get_node_id()), threading.Event()
    while True:
        try:
            ray.get(dispatcher.beat.remote(me), timeout=interval_s)
        except ray.exceptions.GetTimeoutError:
            continue  # it may have to be started again
        except ray.exceptions.RayError:
            return  # the run is over
        pause.wait(interval_s)
