"""The layout does what it promises: the standard library's `platform` stays itself, a wheel holds every layer, and what
is imported is declared.

Checks that import run in a process of their own with the repository's root as working directory, where a
`platform/__init__.py` would break Python.
"""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("configs", "models", "cluster", "actors", "pipelines", "platform")

WORKER = """
import ray

@ray.remote
def look():
    import platform
    import airshower.actors
    import airshower.platform
    return platform.system(), list(airshower.actors.__path__), list(airshower.platform.__path__)

ray.init(address="local", num_cpus=1, include_dashboard=False, object_store_memory=100 * 2**20, log_to_driver=False)
system, actors, platform_path = ray.get(look.remote(), timeout=120)
print(system, actors[0], platform_path[0], sep="|")
ray.shutdown()
"""


def run_python(code: str, folder: Path = ROOT) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip().splitlines()[-1]


def test_the_standard_library_keeps_its_platform():
    code = "import platform, torch, airshower.platform; print(platform.system(), airshower.platform.__name__)"
    system, name = run_python(code).split()
    assert system
    assert name == "airshower.platform"


@pytest.mark.cluster
def test_a_ray_worker_sees_both_platforms():
    system, actors, platform_path = run_python(WORKER).split("|")
    assert system
    assert Path(actors).resolve() == ROOT / "actors"
    assert Path(platform_path).resolve() == ROOT / "platform"


def test_an_archive_without_links_still_imports(tmp_path):
    shutil.copytree(ROOT / "airshower", tmp_path / "airshower", ignore=shutil.ignore_patterns(*FOLDERS, "__pycache__"))
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    found = run_python("import airshower.configs.spec as spec; print(spec.__file__)", tmp_path)
    assert Path(found) == tmp_path / "configs" / "spec.py"


def test_a_wheel_holds_every_file_of_every_layer(tmp_path):
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("airshower", *FOLDERS):
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    run_python("from setuptools import build_meta; print(build_meta.build_wheel('wheel'))", tmp_path)
    (wheel,) = (tmp_path / "wheel").glob("airshower-*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = [path for name in FOLDERS for path in (tmp_path / name).rglob("*") if path.is_file()]
    expected = {f"airshower/{path.relative_to(tmp_path).as_posix()}" for path in files}
    assert packed == expected | {"airshower/__init__.py", "airshower/__main__.py", "airshower/py.typed"}


def distribution(requirement: str) -> str:
    """The normalised name in a requirement such as ray[data]>=2.55."""
    (name,) = re.match(r"([A-Za-z0-9._-]+)", requirement).groups()
    return re.sub(r"[-_.]+", "-", name).lower()


def imported_packages(folder: Path) -> set[str]:
    """Top-level names of everything that a folder's files import from outside, also inside functions."""
    files = list(folder.rglob("*.py"))
    found = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            found |= {name.partition(".")[0] for name in names}
    return found - sys.stdlib_module_names - {"airshower", "tests", *(file.stem for file in files)}


def test_every_import_is_declared_and_every_dependency_is_imported():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    core = {distribution(requirement) for requirement in project["project"]["dependencies"]}
    dev = {distribution(requirement) for requirement in project["dependency-groups"]["dev"]}
    owners = packages_distributions()

    def owner(name: str) -> str:
        several = map(distribution, owners.get(name, [f"{name} (not installed)"]))  # as opentelemetry has
        return min(several, key=lambda one: (one not in core, one not in dev, one))

    def distributions(*folders: str) -> set[str]:
        return set(map(owner, set().union(*(imported_packages(ROOT / folder) for folder in folders))))

    used = distributions(*FOLDERS)
    assert used - core == set()
    assert core - used == {"s3fs"}  # fsspec loads it by name
    assert distributions("tests") - core - dev == set()


def test_what_is_pinned_is_what_may_be_installed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if line[0] != "#")
    pinned = {distribution(name): version for name, version in pins.items()}
    for requirement in [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]:
        least = re.search(r">=([\d.]+)", requirement)
        bound, tested = (
            tuple(map(int, re.findall(r"\d+", text))) for text in (least[1], pinned[distribution(requirement)])
        )
        assert tested >= bound, requirement
