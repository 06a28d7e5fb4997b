"""What the driver knows of models that are being loaded: whether there is one, and whether there will ever be."""

from collections.abc import Callable, Mapping

from airshower.pipelines.events import LiveEvent, Loaded, LoadFailed, Warned


class LoadedModels:
    """Of a run; `loaders` are its replicas, text encoders and annotators as messages name them, with how many."""

    def __init__(self, loaders: Mapping[str, int], tell: Callable[[LiveEvent], None]) -> None:
        self._loaders, self._tell = loaders, tell
        self._loaded: set[str] = set()
        self._failed: dict[str, set[str]] = {}

    def have(self, what: str) -> bool:
        """Whether there is one, as far as is known."""
        return what in self._loaded

    def hear(self, event: Loaded | LoadFailed) -> str | None:
        """Why no row can ever be made, once none of a kind can be loaded."""
        if isinstance(event, Loaded):
            self._loaded.add(event.what)
            self._tell(event)
            return None
        self._tell(Warned(message=f"{event.what}: {event.message}: tried again in {event.again_in_s:g} s"))
        if event.final:
            failed = self._failed.setdefault(event.what, set())
            failed.add(event.loader)
            if event.what not in self._loaded and len(failed) >= self._loaders[event.what]:
                return f"{event.what}: {event.message}"
        return None
