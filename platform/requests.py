"""A posted spec into a row, by the same reader as the batch command's files.

The spec is kept beside the results as `request.json`: what was asked for, in a form `airshower generate` takes. Assumes
that the paths in it were checked (`airshower.platform.access`).
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from airshower.configs.messages import Row
from airshower.configs.presets import ModelPreset
from airshower.pipelines.rows import read_rows


def row_of(spec: Mapping[str, Any], folder: Path, preset: ModelPreset) -> Row:
    """The validated and resolved row, or a row with its error; without a name it is named after the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    request = folder / "request.json"
    request.write_text(json.dumps({"name": folder.name} | dict(spec), indent=1), encoding="utf-8")
    (row,) = read_rows([str(request)], overrides={}, preset=preset)
    if row.error is None:
        return replace(row, source="request")
    # The message begins with the file that names the row; the client sent no file.
    line = row.error.message.removeprefix(f"{row.source} ({row.name}): ")
    return replace(row, source="request", error=replace(row.error, message=line))
