"""From the names in a checkpoint file to those of the published state dict, without a prefix.

What may be in a file beside weights and is left out: step counters, rotary buffers (`Transformer` computes its own) and
Transformer Engine's extra state. Wrappers of activation checkpointing and compilation leave a word in names.
"""

import re
from collections.abc import Mapping

import torch

from airshower.models.checkpoints.files import CheckpointError, Stored, StoredTensor

PREFIX, EMA_PREFIX = "net.", "net_ema."
IGNORED = re.compile(r"(^|\.)(accum_\w+|pos_embedder(_options)?\..+|_extra_state)$")
WRAPPERS = re.compile(r"(_checkpoint_wrapped_module|_orig_mod)\.")
LORA_WRAPPERS = re.compile(r"^base_model\.model\.")


def published_names(stored: Stored, source: str, *, ema: bool = False) -> dict[str, StoredTensor]:
    """The weights of a checkpoint by published name; `ema` picks the moving average of a training run's output.

    Raises CheckpointError when the average is asked for and isn't there.
    """
    if any(key.startswith("transformer.") for key in stored):
        if ema:
            raise CheckpointError(f"{source}: a diffusers folder has no moving average beside its weights: drop ema")
        return _from_diffusers(stored, source)
    plain: dict[str, StoredTensor] = {}
    averaged: dict[str, StoredTensor] = {}
    for key, tensor in stored.items():
        name = WRAPPERS.sub("", LORA_WRAPPERS.sub("", key))
        if IGNORED.search(name):
            continue
        if name.startswith(EMA_PREFIX):
            averaged[name.removeprefix(EMA_PREFIX)] = tensor
        else:
            plain[name.removeprefix(PREFIX)] = tensor
    if ema and not averaged:
        raise CheckpointError(f"{source}: no moving average in it ({EMA_PREFIX}...): use its plain weights")
    return averaged if ema or not plain else plain


def _from_diffusers(stored: Stored, source: str) -> dict[str, StoredTensor]:
    """Names of diffusers' CosmosTransformer3DModel and CosmosControlNetModel."""
    renamed: dict[str, StoredTensor] = {}
    for key, tensor in stored.items():
        part, _, rest = key.partition(".")
        if part == "controlnet" and rest.startswith(_CONTROLNET_COPIES):
            _require_copy(tensor, stored, f"transformer.{rest.replace('patch_embed_base', 'patch_embed')}", key, source)
            continue
        renamed[_renamed(rest, control=part == "controlnet")] = tensor
    return renamed


def _require_copy(copy: StoredTensor, stored: Stored, original: str, key: str, source: str) -> None:
    """Raises CheckpointError unless the control network's copy of a base weight is one."""
    if original not in stored or not torch.equal(copy.read(), stored[original].read()):
        raise CheckpointError(f"{source}: {key} differs from {original}: the two folders don't belong together")


def _renamed(key: str, *, control: bool) -> str:
    for pattern, replacement in _DIFFUSERS_NAMES.items():
        key = re.sub(pattern, replacement, key)
    return re.sub(r"^x_embedder", "control_embedder", key) if control else key


_CONTROLNET_COPIES = ("patch_embed_base.", "time_embed.", "img_context_proj.", "crossattn_proj.")
_DIFFUSERS_NAMES: Mapping[str, str] = {
    r"^patch_embed\.proj": "x_embedder.proj.1",
    r"^time_embed\.t_embedder": "t_embedder.1",
    r"^time_embed\.norm": "t_embedding_norm",
    r"^transformer_blocks": "blocks",
    r"^norm_out\.linear_(\d)": r"final_layer.adaln_modulation.\1",
    r"^proj_out": "final_layer.linear",
    r"\.norm1\.linear_(\d)": r".adaln_modulation_self_attn.\1",
    r"\.norm2\.linear_(\d)": r".adaln_modulation_cross_attn.\1",
    r"\.norm3\.linear_(\d)": r".adaln_modulation_mlp.\1",
    r"\.attn1\.": ".self_attn.",
    r"\.attn2\.": ".cross_attn.",
    r"\.norm_(q|k)\.": r".\1_norm.",
    r"\.to_(q|k|v)\.": r".\1_proj.",
    r"\.to_out\.0\.": ".output_proj.",
    r"\.ff\.net\.0\.proj\.": ".mlp.layer1.",
    r"\.ff\.net\.2\.": ".mlp.layer2.",
}
