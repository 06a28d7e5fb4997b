"""The parts of a model, and annotators, on the machine that loads them."""

from pathlib import Path

from airshower.cluster import storage
from airshower.cluster.node_cache import Say, local_copy
from airshower.configs.model_source import ModelSource
from airshower.models.annotators.folder import AnnotatorFolder
from airshower.models.model_parts import ModelParts, open_parts


def local_parts(source: ModelSource, *, say: Say | None = None) -> ModelParts:
    """The parts of a model, fetched first where `weights` is the URL of a folder and not a folder.

    Raises WeightsError, and OSError for a URL that can't be fetched; `say` is told how that goes.
    """
    weights = source.weights
    if weights is None or not storage.is_url(weights):
        return open_parts(source.preset, weights, load_ema=source.load_ema)
    return open_parts(source.preset, str(_copy(weights, say)), load_ema=source.load_ema, named=weights)


def local_annotators(folder: str | None) -> AnnotatorFolder:
    """A folder of annotators, fetched first where it is a URL; raises OSError for one that can't be fetched."""
    if folder is None or not storage.is_url(folder):
        return AnnotatorFolder(None if folder is None else Path(folder))
    return AnnotatorFolder(_copy(folder, None), named=folder)


def _copy(url: str, say: Say | None) -> Path:
    folder = f"{url.rstrip('/')}/"  # as web servers know folders
    return local_copy(folder) if say is None else local_copy(folder, say=say)
