"""How processes that this one starts find this package, whatever their working directory holds.

Python and Ray look for modules in the working directory first. A checkout's folder is called like the package without
being it, and any file there may be called like a module: so it is never looked into, and the package's place is named.
"""

import os
import site
import sys
from pathlib import Path

import airshower


def search_path() -> list[str]:
    """Folders to look into first; none where the package is installed with Python's others."""
    root = str(Path(airshower.__file__).parent.parent)
    return [] if root in {*site.getsitepackages(), site.getusersitepackages()} else [root]


def module_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module in an `environment` like this one."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment(*more: str) -> dict[str, str]:
    """Of a process that finds this package, and modules in `more` folders."""
    inherited = os.environ.get("PYTHONPATH", "")
    found = [*search_path(), *more, *inherited.split(os.pathsep)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(folder for folder in found if folder)}
