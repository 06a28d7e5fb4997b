"""Rows from sources: every request validated, resolved against the model and checked for its files, before any work.

A row that can't run comes back with its error as data and never stops the others. Command-line settings win over what a
row says. Checked here is what costs one stat call per file (there, not empty); whether a video decodes, its length and
its frame rate are the prepare stage's business.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import islice
from typing import Any

from pydantic import ValidationError

from airshower.cluster import storage
from airshower.configs.messages import Row, RowError
from airshower.configs.presets import PRESETS, ModelPreset
from airshower.configs.row_formats import OBJECTS, PATH_FIELDS, AnySpec, default_model, field_type, spec_of
from airshower.pipelines.jsonc import parse_jsonc
from airshower.pipelines.row_errors import describe, unknown_field
from airshower.pipelines.row_files import Draft, InputError, read_drafts, spec_files, stem, typed
from airshower.pipelines.spool import Spool

_CHECKERS = 16  # threads; they wait for storage
_BATCH = 2000  # rows that are checked side by side
_EMPTY = "is empty: write a row into it"
_FOLDERS_TOO = ("guided_generation_mask",)
_PAIRS = (("prompt", "prompt_path"), ("mask_path", "mask_prompt"), ("control_path", "control_prompt"))
_EITHER = {one: other for pair in _PAIRS for one, other in (pair, pair[::-1])}  # a setting that is given ends the other


def read_rows(
    sources: Sequence[str], *, overrides: Mapping[str, Any], preset: ModelPreset | None, annotators: str | None = None
) -> Sequence[Row]:
    """The rows of all sources, in order, kept on disk; those that can't run have no spec and an error.

    `overrides` maps fields to values (dotted for a field of a control, None for not given) that win over every row;
    their paths are seen from the working directory. Without `preset` each row is for the tiny model of its kind.
    `annotators` is a folder of them, for models that come without. Raises InputError when an override is no field, a
    source does not exist or there is no row at all.
    """
    reader = _Reader(settings=_settings(overrides), preset=preset, annotators=annotators)
    drafts = _drafts(sources)
    rows: Spool[Row] = Spool()
    owners: dict[str, int] = {}  # of file names: the row that writes it
    with ThreadPoolExecutor(_CHECKERS) as pool:
        while batch := list(islice(drafts, _BATCH)):
            for row in pool.map(reader.row, range(len(rows), len(rows) + len(batch)), batch):
                rows.append(_without_clash(row, owners, rows))
    return rows


def output_folder(rows: Sequence[Row], given: str | None) -> str:
    """The run's folder: `given` (--output) or else the output_dir on which all rows agree; raises InputError."""
    if given is not None:
        return storage.absolute(given)
    folders = sorted({row.spec.output_dir or "none" for row in rows if row.spec is not None})
    if len(folders) > 1:
        raise InputError(f"rows name different folders in output_dir ({', '.join(folders[:3])}): give --output DIR")
    if not folders or folders == ["none"]:
        raise InputError("no folder to write to: give --output DIR, or output_dir in every row")
    return folders[0]


def model_of(rows: Sequence[Row]) -> ModelPreset:
    """The model that all rows are for; raises InputError where they are for several."""
    models: dict[str, Row] = {}
    for row in rows:
        if row.model:
            models.setdefault(row.model, row)
    if len(models) > 1:
        wanted = ", ".join(f"{row.name} {name}" for name, row in models.items())
        raise InputError(f"rows are for different models ({wanted}): give those of one camera and of several apart")
    return PRESETS[next(iter(models), default_model({}))]


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """Turns drafts into rows; asks storage once per file, however many rows name it."""

    settings: Mapping[str, Any]
    preset: ModelPreset | None
    annotators: str | None
    size_bytes: Callable[[str], int] = field(default_factory=lambda: cache(storage.size_bytes))
    text: Callable[[str], str] = field(default_factory=lambda: cache(_prompt_text))

    def row(self, index: int, draft: Draft) -> Row:
        """The draft's row, with the error as data where it can't run."""
        name = draft.name
        try:
            if draft.error is not None:
                raise InputError(draft.error)
            fields = self._fields(draft)
            name = str(fields["name"])
            model = self.preset or PRESETS[default_model(fields)]
            spec = spec_of(fields).resolved(model.with_annotators(self.annotators))
            self._check_files(spec)
            prompt = self._prompt(spec)
            return Row(index=index, name=name, source=draft.source, spec=spec, model=model.name, prompt=prompt)
        except ValidationError as error:
            failure = RowError(stage="read", type="InputError", message=describe(error, self.settings))
        except (ValueError, OSError) as error:
            failure = RowError(stage="read", type=type(error).__name__, message=str(error))
        name = _file_name(name)
        message = " ".join(f"{draft.source} ({name}): {failure.message}".split())
        return Row(index=index, name=name, source=draft.source, spec=None, error=replace(failure, message=message))

    def _fields(self, draft: Draft) -> dict[str, Any]:
        """The draft's fields with full paths, its default name and the command line's settings."""
        if not isinstance(draft.fields, dict):
            raise InputError(f'{draft.fields!r:.60} is not an object: write a spec as {{"prompt": ..., "edge": {{}}}}')
        fields = {"name": draft.name, **_with_full_paths(draft.fields, storage.parent(draft.file))}
        for name, value in self.settings.items():
            control, dot, key = name.rpartition(".")
            if dot and not isinstance(fields.get(control), dict):
                raise InputError(f'{name} (command line) needs a {control} control: add "{control}": {{}} to the row')
            target = fields[control] if dot else fields
            target[key] = value
            if key in _EITHER:
                target.pop(_EITHER[key], None)
        return fields

    def _check_files(self, spec: AnySpec) -> None:
        for name, path in spec.files().items():
            if name in _FOLDERS_TOO:
                if not storage.exists(path):
                    raise FileNotFoundError(f"{name}: {path} does not exist: fix the path")
            else:
                self._check_file(name, path)

    def _check_file(self, name: str, path: str) -> None:
        try:
            size = self.size_bytes(path)
        except FileNotFoundError as error:
            hint = "fix the path (a relative one starts at the folder of the file that names it)"
            raise FileNotFoundError(f"{name}: {error}: {hint}") from None
        except OSError as error:
            raise type(error)(f"{name}: {error}") from None
        if size == 0:
            raise ValueError(f"{name}: {path} is empty (0 bytes): write or copy it again")

    def _prompt(self, spec: AnySpec) -> str:
        if spec.prompt_path is not None:
            return self.text(spec.prompt_path)
        prompt = spec.prompt or ""
        if not prompt.strip():
            raise ValueError(f"prompt {prompt!r} is blank: say what the video shows")
        return prompt


def _settings(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The overrides that are given, with typed values and full paths."""
    given = {name: value for name, value in overrides.items() if value is not None}
    for name in given:
        if name == "name" or name in OBJECTS:
            raise InputError(f"{name} can't be set for all rows: set it in each row")
        if field_type(name) is None:
            raise InputError(f"setting {unknown_field(name)}")
    values = {name: typed(name, value) if isinstance(value, str) else value for name, value in given.items()}
    return {
        name: storage.absolute(v) if name.rpartition(".")[2] in PATH_FIELDS and v else v for name, v in values.items()
    }


def _drafts(sources: Sequence[str]) -> Iterator[Draft]:
    """The drafts of all sources, a failed one for each empty file; raises InputError where no file holds a row."""
    any_row = False
    for source in sources:
        files = spec_files(source)
        if len(files) == 1:
            for draft in _or_empty(files[0]):
                any_row = any_row or draft.error != _EMPTY
                yield draft
            continue
        found = [draft for file in files for draft in _or_empty(file)]
        any_row = any_row or any(draft.error != _EMPTY for draft in found)
        # a folder may hold the prompt and camera files of its specs; they are JSON too, but no rows
        named = {path for draft in found for path in _named_files(draft)}
        yield from (draft for draft in found if draft.file not in named)
    if not any_row:
        raise InputError(f"{', '.join(sources) or 'no source given'}: no row to run: give a file with at least one row")


def _or_empty(file: str) -> Iterator[Draft]:
    """The drafts of a file, or the failed one of a file that holds none."""
    drafts = read_drafts(file)
    first = next(drafts, None)
    yield first or Draft(name=stem(file), source=file, file=file, error=_EMPTY)
    yield from drafts


def _named_files(draft: Draft) -> list[str]:
    fields = draft.fields if isinstance(draft.fields, dict) else {}
    paths = [fields.get(name) for name in ("prompt_path", "camera_path")]
    return [storage.join(storage.parent(draft.file), path) for path in paths if isinstance(path, str)]


def _with_full_paths(fields: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """A copy of the fields in which relative paths start at `folder`; values that are no text stay as they are."""
    full: dict[str, Any] = {
        name: storage.join(folder, value) if name in PATH_FIELDS and isinstance(value, str) and value else value
        for name, value in fields.items()
    }
    for key in OBJECTS:
        if isinstance(full.get(key), dict):
            full[key] = _with_full_paths(full[key], folder)
    return full


def _prompt_text(path: str) -> str:
    """The prompt in a text file, or under "prompt" in a JSON file, stripped; raises ValueError."""
    try:
        text = storage.read_bytes(path).decode("utf-8-sig")
        value = parse_jsonc(text) if path.lower().endswith((".json", ".jsonc")) else {"prompt": text}
    except ValueError as error:
        raise ValueError(f"prompt_path: {path} can't be read as UTF-8 text or JSON: {error}") from None
    prompt = value.get("prompt") if isinstance(value, dict) else None
    if not isinstance(prompt, str):
        raise ValueError(f'prompt_path: {path} has no "prompt" text: write {{"prompt": "..."}} or use a .txt file')
    if not prompt.strip():
        raise ValueError(f"prompt_path: {path} holds a blank prompt: say what the video shows")
    return prompt.strip()


def _without_clash(row: Row, owners: dict[str, int], rows: Sequence[Row]) -> Row:
    """The row, failed where it would write a file of an earlier row: failed rows write nothing."""
    stems = () if row.spec is None else row.spec.video_stems()
    owner = next((owners[taken] for taken in stems if taken in owners), None)
    if owner is not None:
        return replace(row, spec=None, error=_clash(row, rows[owner]))
    owners |= dict.fromkeys(stems, row.index)
    return row


def _clash(row: Row, owner: Row) -> RowError:
    rule = "is already used by" if owner.name == row.name else f"clashes with the files of {owner.name!r} from"
    message = f"{row.source} ({row.name}): name {row.name!r} {rule} {owner.source}: give each row its own name"
    return RowError(stage="read", type="InputError", message=message)


def _file_name(name: str) -> str:
    """A failed row's name in a form that is safe in paths."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:200] or "row"
