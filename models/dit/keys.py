"""Names of parameters: ours and those of the published state dicts, as data.

The base network has the published names. A control branch is `branches.<control>.` here; published files have
`control_blocks.` and `control_embedder.` for one control, and a branch number for several.
"""

import re

from airshower.configs.network import DitConfig


def published_key(key: str, config: DitConfig) -> str:
    """The published name of one of our parameters."""
    match = re.fullmatch(r"branches\.([^.]+)\.(embedder|hint_block|blocks)\.(.+)", key)
    if match is None:
        return key
    branch, part, rest = match.groups()
    control = config.control
    if control is None:
        raise ValueError(f"{key}: the config has no control branches")
    if len(control.branches) == 1:
        return f"input_hint_block.{rest}" if part == "hint_block" else f"control_{part}.{rest}"
    number = control.branches.index(branch)
    names = {"embedder": "control_embedder.{}", "hint_block": "input_hint_block.{}", "blocks": "control_blocks_{}"}
    return f"{names[part].format(number)}.{rest}"
