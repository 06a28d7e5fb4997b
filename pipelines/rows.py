"""Rows from sources: every request validated, resolved against the model and checked for its files, before any work.

A row that can't run comes back with its error as data and never stops the others. Command-line settings win over what a
row says. Checked here is what costs one stat call per file (there, not empty); whether a video decodes, its length and
its frame rate are the prepare stage's business.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from typing import Any

from pydantic import ValidationError

from airshower.cluster import storage
from airshower.configs.messages import Row, RowError
from airshower.configs.presets import PRESETS, ModelPreset
from airshower.configs.row_formats import (
    OBJECTS,
    PATH_FIELDS,
    AnySpec,
    default_model,
    field_type,
    named_files,
    spec_of,
)
from airshower.configs.spec import CONTROLS
from airshower.pipelines.jsonc import parse_jsonc
from airshower.pipelines.row_errors import SHOWN_FAULTS, faults_of, joined, one_line, unknown_field
from airshower.pipelines.row_files import STANDARD_INPUT, Draft, InputError
from airshower.pipelines.row_names import TakenNames, usable_name
from airshower.pipelines.row_sources import command_line_draft, drafts_of
from airshower.pipelines.row_values import given_fields, require_text, typed
from airshower.pipelines.spool import Spool

_CHECKERS = 16  # threads; they wait for storage
_BATCH = 2000  # rows that are checked side by side
_MOST_PROMPT_BYTES = 1 << 20
_FOLDERS_TOO = ("guided_generation_mask", "depth.control_path")  # with a file per frame
_PAIRS = (("prompt", "prompt_path"), ("mask_path", "mask_prompt"), ("control_path", "control_prompt"))
_EITHER = {one: other for pair in _PAIRS for one, other in (pair, pair[::-1])}  # a setting that is given ends the other


def read_rows(
    sources: Sequence[str],
    *,
    overrides: Mapping[str, Any],
    preset: ModelPreset | None,
    annotators: str | None = None,
    limit: int | None = None,
    most_faults: int | None = SHOWN_FAULTS,
) -> Sequence[Row]:
    """The rows of all sources, in order, kept on disk; those that can't run have no spec and an error.

    `overrides` maps fields to values (dotted for a field of a control, None for not given) that win over every row;
    their paths are seen from the working directory. A control among them, an object, is for rows that have none of its
    kind. Without sources they are a row by themselves. Without `preset` each row is for the tiny model of its kind.
    `annotators` is a folder of them, for models that come without. At most `limit` rows are read, and a row's error
    names at most `most_faults` of its faults (None: all). Raises InputError when an override is no field, a source does
    not exist or there is no row at all.
    """
    settings = _settings(overrides)
    drafts = drafts_of(sources, limit) if sources else iter([command_line_draft(settings)])
    reader = _Reader(settings=settings, preset=preset, annotators=annotators, most_faults=most_faults)
    rows: Spool[Row] = Spool()
    names = TakenNames()
    with ThreadPoolExecutor(_CHECKERS) as pool:
        while batch := list(islice(drafts, _BATCH)):
            for row in pool.map(reader.row, range(len(rows), len(rows) + len(batch)), batch):
                rows.append(names.claim(row, rows))
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
    most_faults: int | None
    size_bytes: Callable[[str], int] = field(default_factory=lambda: cache(storage.size_bytes))
    text: Callable[[str], str] = field(default_factory=lambda: cache(_prompt_text))

    def row(self, index: int, draft: Draft) -> Row:
        """The draft's row, with the error as data where it can't run."""
        name, source = draft.name, one_line(draft.source)
        try:
            fields = self._fields(draft)
            name = str(fields["name"])
            model = self.preset or PRESETS[default_model(fields)]
            spec = self._spec(fields, model, draft)
            prompt = self._prompt(spec)
            return Row(index=index, name=name, source=source, spec=spec, model=model.name, prompt=prompt)
        except (ValueError, OSError) as error:
            name = usable_name(name)
            message = one_line(f"{source} ({name}): {error}")
            failure = RowError(stage="read", type=type(error).__name__, message=message)
            return Row(index=index, name=name, source=source, spec=None, error=failure)

    def _fields(self, draft: Draft) -> dict[str, Any]:
        """The draft's fields with full paths, its default name and the command line's settings."""
        if draft.error is not None:
            raise InputError(draft.error)
        if not isinstance(draft.fields, dict):
            given = json.dumps(draft.fields, default=str)
            raise InputError(f'{given:.60} is not an object: write a spec as {{"prompt": ..., "edge": {{}}}}')
        fields = {"name": draft.name, **_with_full_paths(given_fields(draft.fields), storage.parent(draft.file))}
        for name, value in self.settings.items():
            control, dot, key = name.rpartition(".")
            if name in CONTROLS:
                fields.setdefault(name, dict(value))
                continue
            if dot and not isinstance(fields.get(control), dict):
                raise InputError(f"{name} (command line) needs a {control} control: {_added(control)}")
            target = fields[control] if dot else fields
            target[key] = value
            if key in _EITHER:
                target.pop(_EITHER[key], None)
        return fields

    def _spec(self, fields: Mapping[str, Any], model: ModelPreset, draft: Draft) -> AnySpec:
        """The validated and resolved row; raises ValueError or OSError, by the first of its faults, that names them."""
        faults: list[Exception] = []
        try:
            spec = spec_of(fields).resolved(model.with_annotators(self.annotators))
        except ValidationError as error:
            faults += [InputError(fault) for fault in faults_of(error, self.settings)]
        except ValueError as error:
            faults.append(error)
        for name, path in named_files(fields):
            if name != "output_dir" and (fault := self._fault(name, path, draft)) is not None:
                faults.append(fault)
        if faults:
            raise type(faults[0])(joined([str(fault) for fault in faults], self.most_faults))
        return spec

    def _fault(self, name: str, path: str, draft: Draft) -> OSError | ValueError | None:
        if name in _FOLDERS_TOO and storage.is_folder(path):
            return None
        try:
            size = self.size_bytes(path)
        except FileNotFoundError as error:
            here = name in self.settings or draft.file == STANDARD_INPUT
            place = "the working directory" if here else "the folder of the file that names it"
            return FileNotFoundError(f"{name}: {error}: fix the path (a relative one starts at {place})")
        except OSError as error:
            return type(error)(f"{name}: {error}")
        return None if size else ValueError(f"{name}: {path} is empty (0 bytes): write or copy it again")

    def _prompt(self, spec: AnySpec) -> str:
        if spec.prompt_path is not None:
            if self.size_bytes(spec.prompt_path) > _MOST_PROMPT_BYTES:
                raise ValueError(f"prompt_path: {spec.prompt_path} is larger than 1 MiB, as no prompt is: fix the path")
            return self.text(spec.prompt_path)
        prompt = spec.prompt or ""
        if not prompt.strip():
            raise ValueError(f"prompt {prompt!r} is blank: say what the video shows")
        return prompt


def _settings(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The overrides that are given, controls first, with typed values and full paths."""
    given = {name: value for name, value in overrides.items() if value is not None}
    for name in given:
        if name == "name" or (name in OBJECTS and name not in CONTROLS):
            raise InputError(f"{name} can't be set for all rows: set it in each row")
        if field_type(name) is None:
            raise InputError(f"setting {unknown_field(name)}")
    settings = {}
    for name in sorted(given, key=lambda name: name not in CONTROLS):
        value = typed(name, given[name]) if isinstance(given[name], str) else given[name]
        is_path = name.rpartition(".")[2] in PATH_FIELDS and value
        settings[name] = storage.absolute(value) if is_path else value
    return settings


def _added(control: str) -> str:
    """How a row gets a control or camera."""
    return f'add "{control}": {{}} to the row' + (f", or --{control}" if control in CONTROLS else "")


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
    require_text(f"prompt_path: {path}", prompt)
    return prompt.strip()
