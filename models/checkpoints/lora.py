"""LoRA files: low-rank updates of linear layers, merged into the weights they belong to.

Both published styles are read: a whole state dict whose wrapped layers are `<layer>.base_layer.weight` beside
`<layer>.lora_A.default.weight` and `lora_B` (Predict2), and adapters alone (peft's `base_model.model.` names).
"""

from collections.abc import Mapping

from torch import Tensor

from airshower.models.checkpoints.files import CheckpointError, StoredTensor

BASE, DOWN, UP = ".base_layer.weight", ".lora_A.", ".lora_B."


def has_adapters(weights: Mapping[str, StoredTensor]) -> bool:
    """Whether any of the weights is an adapter's."""
    return any(DOWN in name for name in weights)


def merged(
    weights: Mapping[str, StoredTensor], adapters: Mapping[str, StoredTensor], source: str, *, alpha: float | None
) -> dict[str, StoredTensor]:
    """The weights with every adapter added, W + alpha / rank * B A; alpha equals the rank unless given.

    `adapters` may be the same mapping as `weights`. Raises CheckpointError for an adapter without its other half or
    without a layer to go to, listing them all.
    """
    plain = {name.replace(BASE, ".weight"): tensor for name, tensor in weights.items() if not _is_adapter(name)}
    downs = {name.split(DOWN)[0]: tensor for name, tensor in adapters.items() if DOWN in name}
    ups = {name.split(UP)[0]: tensor for name, tensor in adapters.items() if UP in name}
    problems = [f"{layer} has only half an adapter" for layer in sorted(set(downs) ^ set(ups))]
    problems += [f"{layer}.weight is missing" for layer in downs if f"{layer}.weight" not in plain]
    problems += [f"{name} has no place" for name in adapters if not _is_adapter(name) and adapters is not weights]
    if problems:
        raise CheckpointError(f"{source}: LoRA doesn't fit ({len(problems)} problems): {'; '.join(problems)}")
    for layer in downs:
        plain[f"{layer}.weight"] = _added(plain[f"{layer}.weight"], downs[layer], ups[layer], alpha)
    return plain


def _is_adapter(name: str) -> bool:
    return DOWN in name or UP in name


def _added(base: StoredTensor, down: StoredTensor, up: StoredTensor, alpha: float | None) -> StoredTensor:
    def read() -> Tensor:
        scale = 1.0 if alpha is None else alpha / down.shape[0]
        update = up.read().float() @ down.read().float()
        return (base.read().float() + scale * update).to(base.dtype)

    return StoredTensor(base.shape, base.dtype, read)
