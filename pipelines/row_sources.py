"""From sources to drafts: which files hold rows, and the row that a command line makes by itself.

A source is a file, a folder of them (its own level only, without what a run has written there), a pattern with `*`, or
`-` for standard input.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from airshower.cluster import storage
from airshower.configs.row_formats import OBJECTS, PATH_FIELDS, is_multiview
from airshower.configs.spec import CONTROLS
from airshower.pipelines.ledger.shown_names import is_shown_name
from airshower.pipelines.manifest import is_manifest
from airshower.pipelines.row_files import EMPTY, ENDINGS, STANDARD_INPUT, Draft, InputError, ending_of, read_drafts
from airshower.pipelines.row_names import usable_name

_MAY_BE_NAMED = (".json", ".jsonc")  # files that a spec in the same folder may name, and that are no rows then


def drafts_of(sources: Sequence[str], limit: int | None) -> Iterator[Draft]:
    """The drafts of all sources, in order, `limit` of them at most; a failed one, not counted, for each empty file.

    Raises InputError for a source that is none, and where no file holds a row.
    """
    rows = 0
    for draft in _drafts(sources):
        yield draft
        rows += draft.error != EMPTY
        if rows == limit:
            return
    if not rows:
        places = ("standard input" if source == STANDARD_INPUT else source for source in sources)
        raise InputError(f"{', '.join(places)}: no row to run: give a file with at least one row")


def command_line_draft(settings: Mapping[str, Any]) -> Draft:
    """The draft of a row that the command line's settings say alone; it is named after its first file.

    Raises InputError where they say too little to be one.
    """
    files = [value for name, value in settings.items() if name.rpartition(".")[2] in PATH_FIELDS]
    if not files and not any(name in settings for name in ("prompt", *OBJECTS)):
        raise InputError('no rows: give SPECS, or a row by flags: --video-path my.mp4 --prompt "a street" --edge')
    if not is_multiview(settings) and not any(key in settings for key in CONTROLS):
        raise InputError("a row by flags needs a control: add --edge, --vis, --depth or --seg")
    main = [settings[name] for name in ("video_path", "input_path") if settings.get(name)]
    name = PurePosixPath((main or files or ["row"])[0]).stem
    return Draft(name=usable_name(name), source="command line", file=STANDARD_INPUT, fields={})


def _drafts(sources: Sequence[str]) -> Iterator[Draft]:
    for source in sources:
        files = _files_of(source)
        if len(files) == 1 or not any(ending_of(file) in _MAY_BE_NAMED for file in files):
            for file in files:
                yield from read_drafts(file)
            continue
        # A folder may hold the prompt and camera files of its specs; they are JSON too, but no rows. Which they are is
        # known once all is read.
        found = [draft for file in files for draft in read_drafts(file)]
        named = {path for draft in found for path in _named_files(draft)}
        yield from (draft for draft in found if draft.file not in named)


def _named_files(draft: Draft) -> list[str]:
    fields = draft.fields if isinstance(draft.fields, dict) else {}
    paths = [fields.get(name) for name in ("prompt_path", "camera_path")]
    return [storage.join(storage.parent(draft.file), path) for path in paths if isinstance(path, str)]


def _files_of(source: str) -> list[str]:
    """The files that a file, folder, pattern or URL stands for, sorted; raises InputError where there is none."""
    if source == STANDARD_INPUT:
        return [source]
    path = storage.absolute(source)
    try:
        if storage.is_folder(path):
            files = list(filter(_may_hold_rows, storage.list_files(path)))
        elif storage.exists(path):
            files = [path]
        elif any(character in path for character in "*?["):
            files = list(filter(_may_hold_rows, storage.list_matching(path)))
        else:
            raise InputError(f"{source} does not exist: give a spec file, a folder of spec files or a URL of either")
    except OSError as error:
        raise InputError(f"source {source}: {error}") from error
    if not files:
        raise InputError(f"{source} holds no spec file: a spec file ends in one of {', '.join(ENDINGS)}")
    if ending_of(files[0]) not in ENDINGS:
        raise InputError(f"{source} is no spec file: its name must end in one of {', '.join(ENDINGS)}")
    return files


def _may_hold_rows(file: str) -> bool:
    """Whether it is one by its ending, and no run wrote it: a folder may be the output of one, too.

    Hidden files are none: file systems of others keep attributes in them.
    """
    hidden = file.rpartition("/")[2].startswith(".")
    return not hidden and ending_of(file) in ENDINGS and not is_shown_name(file) and not is_manifest(file)
