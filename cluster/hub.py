"""Fetches published weights from Hugging Face: from an entry of `configs.published` to a path on this machine.

The work is huggingface_hub's, with its environment: HF_TOKEN or a login, HF_ENDPOINT, HF_HOME for its cache. A dropped
connection is taken up where it broke, to the last 10 MiB; a call that ends early keeps the files it finished and starts
the unfinished one over, since the library deletes its partial file. Processes that fetch the same file wait for
each other. What was fetched is held against the SHA-256 that the repository states. Every failure is a HubError of one
line.

Without a connection nothing is answered from the cache: what was fetched before is used by its path.
"""

import errno
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from fnmatch import fnmatchcase
from pathlib import Path

from huggingface_hub import HfApi, constants, hf_hub_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,  # the base of connection failures in whichever HTTP client the library is built on
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import WeakFileLock

from airshower.configs.published import Published

_SHOWN_FILES = 5
_LOG_IN = "log in with `hf auth login` or set HF_TOKEN"


class HubError(OSError):
    """Published weights that can't be fetched; the message says which, why, and what to do."""


def fetch(published: Published, folder: Path | None = None) -> Path:
    """The local path of published weights, fetched unless they are there: a file, or a folder for a whole repository.

    They come into `folder` under their path in the repository, by default into the library's cache. Raises HubError.
    """
    with _in_one_line(published), _only_one_process(folder):
        commit = _commit(published)
        files = _files(published, commit)
        absent = [file for file in files if _is_absent(published, commit, file, folder)]
        if folder is not None:
            _refuse_taken(published, absent, folder)
        _require_space(published, absent, folder or Path(constants.HF_HUB_CACHE))
        paths = [_fetch_file(published, commit, file, folder) for file in files]
        for file, path in zip(files, paths, strict=True):
            if file in absent:
                _verify(published, file, path)
    levels = files[0].path.count("/")
    return paths[0] if published.path is not None else paths[0].parents[levels]


def _commit(published: Published) -> str:
    """The full commit that `published.revision` stands for."""
    api = HfApi()
    if published.revision == "main":
        return str(api.model_info(published.repo, revision="main").sha)
    commits = [commit.commit_id for commit in api.list_repo_commits(published.repo)]
    found = [commit for commit in commits if commit.startswith(published.revision)]
    if len(found) != 1:
        raise HubError(
            f"{_where(published)}: {len(found) or 'none'} of its {len(commits)} commits begin with"
            f" {published.revision}: see {_page(published)}/commits/main"
        )
    return found[0]


def _files(published: Published, commit: str) -> list[RepoFile]:
    """What to fetch, from the repository's list of files: all of it, or the one file of the path or pattern."""
    tree = HfApi().list_repo_tree(published.repo, revision=commit, recursive=True)
    files = [file for file in tree if isinstance(file, RepoFile)]
    wanted = [file for file in files if published.path is None or fnmatchcase(file.path, published.path)]
    if not wanted or (published.path is not None and len(wanted) > 1):
        named = ", ".join(file.path for file in (wanted or files)[:_SHOWN_FILES]) or "nothing"
        raise HubError(
            f"{_where(published)}: {len(wanted) or 'no'} file{'s match' if len(wanted) > 1 else ' matches'}"
            f" {published.path or '*'} among {len(files)}{_noted(published)}: it has {named}: see {_page(published)}"
        )
    return wanted


def _is_absent(published: Published, commit: str, file: RepoFile, folder: Path | None) -> bool:
    plan = hf_hub_download(published.repo, file.path, revision=commit, local_dir=folder, dry_run=True)
    return plan.will_download


def _refuse_taken(published: Published, absent: list[RepoFile], folder: Path) -> None:
    """Raises HubError for files that would be replaced and were not fetched, or were changed since."""
    for file in absent:
        path, note = folder / file.path, folder / ".cache" / "huggingface" / "download" / f"{file.path}.metadata"
        if path.exists() and not (note.exists() and path.stat().st_mtime <= note.stat().st_mtime):
            raise HubError(
                f"{published.name}: {path} is there with other content, and wasn't fetched or was changed since: it is "
                "kept: move it away, or choose another folder with --to DIR"
            )


def _require_space(published: Published, absent: list[RepoFile], folder: Path) -> None:
    """Raises HubError where the files won't fit; the library only warns and then fills the disk."""
    needed_bytes = sum(file.size for file in absent)
    existing = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    free_bytes = shutil.disk_usage(existing).free
    if needed_bytes > free_bytes:
        raise HubError(
            f"{published.name}: needs {needed_bytes / 1e9:.1f} GB and {existing} has {free_bytes / 1e9:.1f} GB free:"
            " make room, or choose another disk with --to DIR or HF_HOME"
        )


def _fetch_file(published: Published, commit: str, file: RepoFile, folder: Path | None) -> Path:
    return Path(hf_hub_download(published.repo, file.path, revision=commit, local_dir=folder))


def _verify(published: Published, file: RepoFile, path: Path) -> None:
    """Raises HubError, and removes the file, unless it has the SHA-256 that the repository states for large files."""
    if file.lfs is None:
        return
    with path.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != file.lfs.sha256:
        path.resolve().unlink()  # in the cache, what the link stands for
        path.unlink(missing_ok=True)
        raise HubError(
            f"{published.name}: {file.path} came with SHA-256 {found}, its repository states {file.lfs.sha256}:"
            " removed, fetch it again"
        )


def _only_one_process(folder: Path | None) -> AbstractContextManager[object]:
    """A lock on a folder: of two processes that begin together, the library's own lets the second fetch anew."""
    if folder is None:
        return nullcontext()
    lock = folder / ".cache" / "huggingface" / "airshower.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    return WeakFileLock(lock)


@contextmanager
def _in_one_line(published: Published) -> Iterator[None]:
    """Turns what the library raises into a HubError; what isn't about fetching passes as it is."""
    try:
        yield
    except HubError:
        raise
    except (HTTPError, OSError, RuntimeError) as error:  # RuntimeError: the Xet client's
        # the library wraps what kept it from asking in "not in the cache either"
        cause = error.__cause__ if isinstance(error, LocalEntryNotFoundError) else None
        raise HubError(_explanation(cause or error, published)) from error


def _explanation(error: BaseException, published: Published) -> str:
    where = _where(published)
    if isinstance(error, GatedRepoError):
        return f"{where} is gated: accept its licence at {_page(published)}, then {_LOG_IN}"
    if isinstance(error, RepositoryNotFoundError):
        return f"{where} is missing, private or gated{_noted(published)}: see {_page(published)}, and {_LOG_IN}"
    if isinstance(error, RevisionNotFoundError):
        return f"{where} has no revision {published.revision}: see {_page(published)}/commits/main"
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status in (401, 403):
            return (
                f"{where} refused the login (HTTP {status}): accept its licence at {_page(published)}, then {_LOG_IN}"
            )
        return f"{where} can't be fetched, {constants.ENDPOINT} answered HTTP {status}: try again later"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{published.name}: the disk is full: make room, or choose another disk with --to DIR or HF_HOME"
    if isinstance(error, HTTPError | ConnectionError):
        return (
            f"{where} can't be fetched, the connection to {constants.ENDPOINT} failed ({_reason(error)}): check the"
            " network, HF_ENDPOINT and HF_HUB_OFFLINE, then call again"
        )
    return f"{where} can't be fetched: {_reason(error)}"


def _reason(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def _where(published: Published) -> str:
    return f"{published.name}: {published.repo}"


def _page(published: Published) -> str:
    return f"{constants.ENDPOINT}/{published.repo}"


def _noted(published: Published) -> str:
    return f" ({published.note})" if published.note else ""
