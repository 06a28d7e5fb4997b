"""The import law: folders import only downwards, and heavy libraries stay where they belong.

Reads every source file with `ast`, so an import inside a function counts as well. Imports by string are not seen.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("configs", "models", "cluster", "actors", "pipelines", "platform")

MAY_IMPORT = {
    "configs": {"configs"},
    "models": {"models", "configs"},
    "cluster": {"cluster", "configs"},
    "actors": {"actors", "configs", "models", "cluster"},
    "pipelines": {"pipelines", "configs", "cluster", "actors"},
    "platform": set(FOLDERS),
}
# pure functions that pipelines may take from models: frames in, frames or a file out, no network
PURE_MODELS = {"airshower.models.edge_map", "airshower.models.vis_map", "airshower.models.training.clips"}
OUTSIDE_CONFIGS = {"pydantic", "pydantic_core", "annotated_types"}  # all that configs may import from outside
WHERE_ALLOWED = {
    "torch": ("models", "actors", "pipelines", "platform"),
    "torch.distributed": ("actors", "models/mesh", "models/checkpoints"),  # its checkpoints are a file format
    "ray": ("cluster", "actors", "pipelines", "platform"),
    **dict.fromkeys(("typer", "click", "rich", "fastapi", "starlette", "uvicorn", "multipart"), ("platform",)),
}


def imported_modules(source: str) -> Iterator[str]:
    """Every module that a source text imports; `from a import b` counts as a and as a.b, since b may be a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield module
            yield from (f"{module}.{name.name}" for name in node.names)


def violations(path: str, source: str) -> list[str]:
    """What a file imports against the law; `path` is relative to the repository's root."""
    folder = path.split("/")[0]
    found = []
    for module in imported_modules(source):
        top, *rest = module.split(".")
        if top in FOLDERS:  # a reader can't tell the standard library's platform from ours: neither is imported bare
            found.append(f"{path}: {module}: write airshower.{module}")
        if not top:
            found.append(f"{path}: {module}: relative imports hide the folder: write airshower.{folder}")
        if top == "airshower" and rest and rest[0] in FOLDERS and rest[0] not in MAY_IMPORT[folder]:
            pure = folder == "pipelines" and any(f"{module}.".startswith(f"{name}.") for name in PURE_MODELS)
            on_the_way = folder == "pipelines" and any(name.startswith(f"{module}.") for name in PURE_MODELS)
            if not (pure or on_the_way):
                found.append(f"{path}: {module}: {folder} may import {sorted(MAY_IMPORT[folder])}")
        for library, places in WHERE_ALLOWED.items():
            if f"{module}.".startswith(f"{library}.") and not path.startswith(places):
                found.append(f"{path}: {module}: only in {places}")
        if folder == "configs" and not standard_or_own(top):
            found.append(f"{path}: {module}: configs need the standard library and pydantic only")
    return found


def standard_or_own(top: str) -> bool:
    return top in sys.stdlib_module_names or top in OUTSIDE_CONFIGS or top == "airshower"


def sources(folder: str) -> list[Path]:
    return sorted(path for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_keeps_the_law(folder):
    assert sources(folder), f"{folder}/ has no source file"
    found = [
        violation
        for path in sources(folder)
        for violation in violations(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_folders_are_namespace_packages(folder):
    # platform/__init__.py would shadow the standard library's platform for whoever starts Python in the repository
    assert sorted((ROOT / folder).rglob("__init__.py")) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("configs/a.py", "import airshower.models.dit"),
        ("configs/a.py", "import numpy"),
        ("models/a.py", "def f():\n    from airshower.cluster import storage"),
        ("models/a.py", "import ray.data"),
        ("models/a.py", "from torch import distributed"),
        ("cluster/a.py", "from torch import Tensor"),
        ("cluster/a.py", "from airshower import actors"),
        ("actors/a.py", "from airshower.pipelines.rows import read_rows"),
        ("pipelines/a.py", "from airshower.models.transfer import generate"),
        ("pipelines/a.py", "from airshower.models import transfer"),
        ("pipelines/a.py", "import torch.distributed as dist"),
        ("pipelines/a.py", "from rich.console import Console"),
        ("platform/a.py", "from configs.spec import ClipSpec"),
        ("platform/a.py", "import platform"),
        ("platform/a.py", "from .cli import main"),
    ],
)
def test_the_law_sees_what_breaks_it(path, source):
    assert violations(path, source)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("configs/a.py", "from pydantic import Field\nimport re"),
        ("actors/a.py", "import torch.distributed\nfrom airshower.models import transfer"),
        ("pipelines/a.py", "from airshower.models.edge_map import edge_map"),
        ("pipelines/b.py", "from airshower.models import edge_map"),
        ("platform/a.py", "import ray\nfrom fastapi import FastAPI"),
    ],
)
def test_the_law_lets_the_rest_pass(path, source):
    assert violations(path, source) == []
