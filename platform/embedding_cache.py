"""What `--embedding-cache` means, and that it can be used, before anything starts."""

import os

from airshower.cluster import storage
from airshower.cluster.user_cache import user_cache_folder
from airshower.configs.presets import ModelPreset, PublishedWeights

OFF = "none"
HELP = (
    "Folder or URL where embedded prompts are kept for all runs and workers, so that the text encoder is loaded for "
    f"new ones only; {OFF} switches it off; default: embeddings in the user's cache folder for published weights, "
    f"{OFF} for tiny models"
)


def embedding_cache_of(given: str | None, model: ModelPreset) -> str | None:
    """Where a model's embedded prompts are kept; None: nowhere. `given` is the flag's value, None without the flag."""
    if given is not None:
        return None if given == OFF else storage.absolute(os.path.expanduser(given))
    return user_cache_folder("embeddings") if isinstance(model.weights, PublishedWeights) else None


def require_parts(model: ModelPreset, weights: str | None, embedding_cache: str | None) -> None:
    """Raises WeightsError for missing weights, OSError for a cache that can't be used: once here, not in each worker.

    A cache makes up for a text encoder that isn't there, for the prompts it knows.
    """
    from airshower.actors.prompt_cache import PromptCache
    from airshower.models.model_parts import open_parts

    parts = open_parts(model, weights)
    parts.require(text_encoder=embedding_cache is None)
    if embedding_cache is not None:
        PromptCache(embedding_cache, parts).require()
