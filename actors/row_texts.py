"""The embeddings of a row's texts: of one prompt, or of one per camera, one camera after the other."""

from collections.abc import Callable, Sequence

from airshower.configs.messages import TextEmbedding
from airshower.configs.row_formats import AnySpec

Encode = Callable[[str, Sequence[str]], TextEmbedding]  # (prompt, controls of the row)


def row_texts(spec: AnySpec, prompt: str, encode: Encode) -> tuple[TextEmbedding, TextEmbedding]:
    """What the row is made from, and what it is kept away from."""
    controls = tuple(spec.controls)
    return _joined(spec.prompts(prompt), controls, encode), _joined(spec.negative_prompts(), controls, encode)


def _joined(prompts: Sequence[str | None], controls: Sequence[str], encode: Encode) -> TextEmbedding:
    """The embeddings of all prompts in order; that of None is zeros. At least one has to be text."""
    known = {prompt: encode(prompt, controls) for prompt in dict.fromkeys(prompts) if prompt is not None}
    tokens, channels = next(iter(known.values())).shape
    zeros = bytes(4 * tokens * channels)
    data = b"".join(zeros if prompt is None else known[prompt].data for prompt in prompts)
    return TextEmbedding(data=data, shape=(len(prompts) * tokens, channels))
