"""The parts of a model on the machine that loads them."""

from airshower.cluster import storage
from airshower.cluster.node_cache import Say, local_copy
from airshower.configs.model_source import ModelSource
from airshower.models.model_parts import ModelParts, open_parts


def local_parts(source: ModelSource, *, say: Say | None = None) -> ModelParts:
    """The parts of a model, fetched first where `weights` is the URL of a folder and not a folder.

    Raises WeightsError, and OSError for a URL that can't be fetched; `say` is told how that goes.
    """
    weights = source.weights
    if weights is None or not storage.is_url(weights):
        return open_parts(source.preset, weights, load_ema=source.load_ema)
    folder = f"{weights.rstrip('/')}/"  # as web servers know folders
    copy = local_copy(folder) if say is None else local_copy(folder, say=say)
    return open_parts(source.preset, str(copy), load_ema=source.load_ema, named=weights)
