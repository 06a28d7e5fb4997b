"""That a model can be loaded, known before anything starts: one line here, not a failure of each worker."""

import os
import sys

from airshower.cluster import storage
from airshower.configs.annotators import ANNOTATORS
from airshower.configs.model_source import ModelSource
from airshower.configs.offload import OFFLOADS

ANNOTATORS_HELP = (
    "Folder or URL of the networks that compute depth, segmentation and masks of words; default: that of --weights"
)
LOAD_EMA_HELP = "The moving average of weights from training, of files that hold both"
OFFLOAD_HELP = (
    f"Part whose weights wait in host memory while the GPU does something else: {', '.join(OFFLOADS)}; "
    "may be repeated; default: none"
)
WEIGHTS_HELP = "Folder of weights: a path, or a URL that each machine fetches once; default: those shipped"


def require_parts(source: ModelSource, *, address: str | None = None) -> None:
    """Raises WeightsError for missing weights, OSError for weights or a cache that can't be reached.

    A cache makes up for a text encoder that isn't there, for the prompts it knows. Weights behind a URL are fetched
    here, with progress on stderr, unless the work is done on a cluster that this machine may be no part of.
    """
    from airshower.actors.local_parts import local_parts
    from airshower.actors.prompt_cache import PromptCache, require_writable
    from airshower.models.weights import WeightsError

    weights, embedding_cache = source.weights, source.embedding_cache
    if embedding_cache is not None:
        require_writable(embedding_cache)
    elsewhere = bool(address or os.environ.get("RAY_ADDRESS"))
    if weights is not None and storage.is_url(weights) and elsewhere:
        if not storage.is_folder(weights):
            raise WeightsError(f"{weights}: no folder of weights there: check the URL and its credentials")
        return
    parts = local_parts(source, say=lambda line: print(line, file=sys.stderr, flush=True))
    parts.require(text_encoder=embedding_cache is None)
    if embedding_cache is not None:
        PromptCache(embedding_cache, parts)


def require_annotators(folder: str | None) -> None:
    """Raises WeightsError where the folder or URL that is given is none; single networks may be missing."""
    if folder is not None and not storage.is_folder(folder):
        from airshower.models.weights import WeightsError  # loads torch

        raise WeightsError(f"annotators {folder!r} is no folder: name one that holds {', '.join(ANNOTATORS)}")
