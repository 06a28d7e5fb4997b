"""Which of the server's files and which URLs a client's spec may name.

Nothing by default: a client reads only what it uploads, unless the operator allows a folder (`--allow-path`) or a URL
prefix (`--allow-url-prefix`). Checked on the spec as it came, before anything is opened. It assumes that the folders
that are allowed are not written by clients: a link made after the check would be followed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from airshower.configs.row_formats import named_files

_NOWHERE = Path()


class AccessError(ValueError):
    """A spec names a file or URL that this server does not let clients read."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """The folders and URL prefixes that clients may read through their specs."""

    folders: Sequence[str] = ()
    url_prefixes: Sequence[str] = ()

    def check(self, spec: Mapping[str, Any]) -> None:
        """Raises AccessError, naming the field, for the first path or URL that is not allowed."""
        if "output_dir" in spec:
            raise AccessError("output_dir: the server chooses where results are kept: remove it")
        for field, value in named_files(spec):
            if "://" in value:
                self._check_url(field, value)
            else:
                self._check_path(field, value)

    def _check_url(self, field: str, url: str) -> None:
        prefixes = [prefix.rstrip("/") + "/" for prefix in self.url_prefixes]
        climbs = ".." in unquote(url).replace("\\", "/").split("/")
        if climbs or "::" in url or not any(url.startswith(prefix) for prefix in prefixes):
            allowed = f"use one that starts with {' or '.join(prefixes)}" if prefixes else "upload the file"
            raise AccessError(f"{field}: {url!r} is a URL this server may not read: {allowed}")

    def _check_path(self, field: str, path: str) -> None:
        folders = [Path(folder).resolve() for folder in self.folders]
        if not any(_resolved(path).is_relative_to(folder) for folder in folders):
            named = " or ".join(str(folder) for folder in folders)
            allowed = f"use an absolute path below {named}" if folders else "upload the file"
            raise AccessError(f"{field}: {path!r} is a path this server may not read: {allowed}")


def _resolved(path: str) -> Path:
    """The file that an absolute path leads to; none that anybody may read for other texts, and links in circles."""
    if not Path(path).is_absolute() or "\0" in path:
        return _NOWHERE
    try:
        return Path(path).resolve()
    except (OSError, RuntimeError):
        return _NOWHERE
