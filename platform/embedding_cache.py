"""What `--embedding-cache` means."""

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
