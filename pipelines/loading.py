"""Loading a model in an actor: for as long as it takes, and without ever ending the run that waits for it.

An actor whose constructor raises would end the whole dataset. Trouble that may pass (a GPU still held by the process
that this one replaces, storage that doesn't answer) is waited out, and said. Files that are wrong don't heal by
themselves, so the driver is told that, too: it ends the run when no replica can ever load. A file that somebody mends
meanwhile is found by the next try.
"""

import time
import uuid
from collections.abc import Callable
from itertools import chain, repeat
from typing import TypeVar

from airshower.cluster.backoff import is_transient
from airshower.cluster.service_errors import in_one_line
from airshower.pipelines.dispatch.handle import Dispatch
from airshower.pipelines.events import Loaded, LoadFailed

_WAITS_S = (2.0, 5.0, 10.0, 30.0)
_LAST_WAIT_S = 60.0

Model = TypeVar("Model")


def load_patiently(what: str, load: Callable[[], Model], dispatch: Dispatch) -> Model:
    """The loaded model; returns only when there is one. `what` names it in messages."""
    dispatch.watch_this_process()
    loader = uuid.uuid4().hex
    waits_s = chain(_WAITS_S, repeat(_LAST_WAIT_S))
    while True:
        try:
            model = load()
        except Exception as error:  # noqa: BLE001 -- whatever it is, raising would end the run
            again_in_s = next(waits_s)
            dispatch.report(
                LoadFailed(
                    loader=loader,
                    what=what,
                    message=in_one_line(error),
                    final=isinstance(error, ValueError | FileNotFoundError) and not is_transient(error),
                    again_in_s=again_in_s,
                )
            )
            time.sleep(again_in_s)
        else:
            dispatch.report(Loaded(loader=loader, what=what))
            return model
