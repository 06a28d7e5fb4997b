"""Which weights make a row, as a line that changes when they do: known before any model is loaded."""

import hashlib
from collections.abc import Callable
from functools import partial

from airshower.actors.local_parts import local_parts
from airshower.cluster import storage
from airshower.cluster.content_identity import ContentIdentities
from airshower.cluster.node_cache import remote_version
from airshower.configs.annotators import ANNOTATORS
from airshower.configs.model_source import ModelSource
from airshower.configs.row_formats import AnySpec
from airshower.models.model_parts import ModelParts


class WeightsIdentities:
    """Answers for the rows of one model. Weights behind a URL are known by what their store says, and not fetched."""

    def __init__(self, source: ModelSource, contents: ContentIdentities) -> None:
        self._source = source
        self._contents = contents
        self._parts = None if storage.is_url(source.weights or "") else local_parts(source)
        self._known: dict[str, str] = {}

    def of(self, spec: AnySpec) -> str:
        """What makes this row; raises WeightsError where it is missing, OSError where it can't be read."""
        ema = " ema" if self._source.load_ema else ""
        annotators = f" {self._annotators()}" if spec.needs_annotator else ""
        return f"{self._weights(tuple(spec.controls))}{ema}{annotators}"

    def _weights(self, controls: tuple[str, ...]) -> str:
        if self._parts is None:
            return self._remembered("all", self._remote)
        return self._remembered(self._parts.network_of(controls), partial(self._local, self._parts))

    def _remembered(self, network: str, identity: Callable[[str], str]) -> str:
        if network not in self._known:
            self._known[network] = identity(network)
        return self._known[network]

    def _local(self, parts: ModelParts, network: str) -> str:
        files = sorted(parts.files(network).items())
        named = "\n".join(f"{name} {self._contents.of(str(file))}" for name, file in files)
        return f"{parts.text_encoder_name()} {hashlib.sha256(named.encode()).hexdigest()}"

    def _remote(self, network: str) -> str:
        return remote_version(f"{(self._source.weights or '').rstrip('/')}/")

    def _annotators(self) -> str:
        """All networks of the folder, whichever the row uses."""
        folder = self._source.annotator_folder or ""
        parts = [storage.join(folder, name) for name in ANNOTATORS]
        return " ".join(self._contents.of(part) for part in parts if storage.is_folder(part))
