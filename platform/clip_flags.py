"""Command-line flags that override a field of every row, made from the row format itself.

`--seed` is a row's `seed`, `--edge.control-weight` its edge's `control_weight`, and `--edge` gives rows that have no
edge control one. A field added to the format is a flag the same day, with its description, its default and its rules.
`output_dir` has no flag, since `--output` is it, nor has `name`, which every row must have for itself.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import annotated_types
import typer
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from rich.markup import escape

from airshower.configs.cameras import RIG
from airshower.configs.multiview_spec import MultiviewSpec
from airshower.configs.row_formats import alternatives, fields_of
from airshower.configs.spec import CONTROLS, ClipSpec
from airshower.pipelines.row_errors import describe

Command = TypeVar("Command", bound=Callable[..., int | None])

_SETTINGS_PANEL = "Clip settings (a flag overrides every row)"
_MULTIVIEW_PANEL = "Rows of several cameras"
_FLAGLESS = ("name", "output_dir", "sigma_max")
_METAVARS: dict[Any, str | None] = {bool: "", int: "INT", float: "NUM", str: "TEXT"}


@dataclass(frozen=True, kw_only=True)
class ClipFlag:
    """One flag: where its value goes in a spec, and what the command line says of it.

    A switch has two, such as --show-input and --no-show-input, each with the `value` that it stands for; that of a
    control, such as --edge, stands for an empty object.
    """

    path: tuple[str, ...]  # ("seed",) or ("edge", "control_weight")
    field: FieldInfo
    panel: str
    value: bool | dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """The flag as typed, such as --edge.control-weight."""
        return ("--no-" if self.value is False else "--") + ".".join(self.path).replace("_", "-")

    @property
    def parameter_name(self) -> str:
        """The name of the command function's parameter."""
        return "__".join(("no_clip" if self.value is False else "clip", *self.path))

    def parameter(self) -> inspect.Parameter:
        """The parameter that Typer turns into this flag; None means the flag was not given."""
        kind, _, many = _flag_type(self.field.annotation) if self.value is None else (bool, (), False)
        option = typer.Option(
            self.name, help=escape(self.help()), rich_help_panel=self.panel, metavar=_METAVARS[kind], show_default=False
        )
        value_type: Any = list[kind] if many else kind  # type: ignore[valid-type]
        return inspect.Parameter(
            self.parameter_name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[value_type | None, option],
        )

    def help(self) -> str:
        """The field's description, its choices or range where the description has none, and its default."""
        if self.value is False:
            return "The same switched off, also in rows that ask for it"
        description = self.field.description or ""
        if isinstance(self.value, dict):
            return f"{description.partition(';')[0]}, for rows that have none; default: off"
        kind, choices, many = _flag_type(self.field.annotation)
        described, separator, default = description.partition("; default:")
        rules = [described]
        if choices:
            rules.append(f"one of {', '.join(choices)}")
        elif (bounds := _range(self.field)) and ".." not in described:
            rules.append(bounds)
        if many:
            rules.append("may be repeated")
        rules.append(f"default:{default}" if separator else f"default: {_default_words(self.field, kind)}")
        return "; ".join(rules)


def clip_flags() -> list[ClipFlag]:
    """A flag for every field of a row, the controls' fields included, in the order of the row formats.

    Cameras have none: what differs from camera to camera is for the rows.
    """
    flags = []
    for name, field in ClipSpec.model_fields.items():
        if name in CONTROLS:
            flags.append(ClipFlag(path=(name,), field=field, panel=name.capitalize(), value={}))
            flags += [
                ClipFlag(path=(name, inner), field=inner_field, panel=name.capitalize())
                for inner, inner_field in fields_of(name).items()
            ]
        else:
            flags += _flags_of(name, field, _SETTINGS_PANEL)
    for name, field in MultiviewSpec.model_fields.items():
        if name not in (*ClipSpec.model_fields, *RIG):
            flags += _flags_of(name, field, _MULTIVIEW_PANEL)
    return flags


def _flags_of(name: str, field: FieldInfo, panel: str) -> list[ClipFlag]:
    if name in _FLAGLESS:
        return []
    values = (True, False) if bool in alternatives(field.annotation) else (None,)
    return [ClipFlag(path=(name,), field=field, panel=panel, value=value) for value in values]


def with_clip_flags(command: Command) -> Command:
    """A Typer command whose `**` parameter takes the clip flags: gives it one parameter for each."""
    own = inspect.signature(command)
    kept = [one for one in own.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    flags = [flag.parameter() for flag in clip_flags()]
    command.__signature__ = own.replace(parameters=[*kept, *flags])  # type: ignore[attr-defined]
    return command


def overrides_from(values: Mapping[str, Any]) -> dict[str, Any]:
    """The given flags by (dotted) field, checked: {"seed": 3, "edge.control_weight": 0.5}.

    `values` maps parameter names to parsed values. Raises typer.BadParameter naming the flag, the rule and the remedy.
    """
    overrides: dict[str, Any] = {}
    for flag in clip_flags():
        value = values.get(flag.parameter_name)
        if value is None or value == []:
            continue
        value = value if flag.value is None else flag.value
        _check(flag, value)
        field = ".".join(flag.path)
        if field in overrides:
            raise typer.BadParameter(f"{flag.name} and its opposite are both given: remove one")
        overrides[field] = value
    return overrides


# Rows that are fine otherwise, one of each kind.
_SAMPLE_ROWS: tuple[tuple[type[BaseModel], dict[str, Any]], ...] = (
    (ClipSpec, {"name": "clip", "prompt": "words", "video_path": "video.mp4", "edge": {}}),
    (
        MultiviewSpec,
        {"name": "clip", "prompt": "words", "front_wide": {"control_path": "map.mp4", "input_path": "video.mp4"}},
    ),
)


def _check(flag: ClipFlag, value: object) -> None:
    """Validates one value by the row formats' own rules; a value that any kind of row may have is fine here."""
    refusals = []
    for kind, row in _SAMPLE_ROWS:
        if flag.path[0] not in kind.model_fields:
            continue
        inner = row.get(flag.path[0], {})
        try:
            kind.model_validate(row | {flag.path[0]: value if len(flag.path) == 1 else inner | {flag.path[1]: value}})
        except ValidationError as error:
            # rules over several fields are for the rows, which give the others
            if all(rule["loc"][: len(flag.path)] == flag.path for rule in error.errors()):
                refusals.append(error)
                continue
        return
    raise typer.BadParameter(describe(refusals[0], {".".join(flag.path)}))


def _flag_type(annotation: object) -> tuple[type, tuple[str, ...], bool]:
    """(type of a value, the words it may be, whether the flag may be repeated) of a field's annotation."""
    kind = alternatives(annotation)[0]
    if get_origin(kind) is Literal:
        return str, get_args(kind), False
    many = get_origin(kind) is list
    if many:
        kind = get_args(kind)[0]
    if kind not in _METAVARS:
        raise TypeError(f"{annotation} has no flag: teach clip_flags how to read it")
    return kind, (), many


def _range(field: FieldInfo) -> str:
    """The bounds of a number in words, "" where there are none."""
    rules = {type(rule): rule for rule in field.metadata}
    least, most = rules.get(annotated_types.Ge), rules.get(annotated_types.Le)
    if least is not None and most is not None:
        return f"{least.ge}..{most.le}"
    return f"at least {least.ge}" if least is not None else ""


def _default_words(field: FieldInfo, kind: type) -> str:
    if field.is_required() or field.default is None:
        return "none"
    return ("on" if field.default else "off") if kind is bool else str(field.default)
