"""The kinds of rows together: which kind some fields are, and what is known of a field by its name."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from airshower.configs.cameras import RIG
from airshower.configs.multiview_spec import MultiviewSpec, ViewSpec
from airshower.configs.row_spec import Strict
from airshower.configs.spec import CONTROLS, ClipSpec, DepthSpec, EdgeSpec, SegSpec, VisSpec

AnySpec = ClipSpec | MultiviewSpec

# fields that hold a path or URL, at any depth; in a file, relative ones are seen from that file's folder
PATH_FIELDS = (
    "prompt_path",
    "video_path",
    "output_dir",
    "image_context_path",
    "guided_generation_mask",
    "control_path",
    "mask_path",
    "input_path",
    "camera_path",
)
OBJECTS = (*CONTROLS, *RIG)  # fields that hold an object
WORDLESS = ("negative_prompt", "other_views_prompt")  # fields in which "" says something: no words at all
_MULTIVIEW_MARKS = {*RIG, "n_views", "input_path"}


def is_multiview(fields: Mapping[str, Any]) -> bool:
    """Whether a row's fields name several cameras."""
    return not _MULTIVIEW_MARKS.isdisjoint(fields)


def spec_of(fields: Mapping[str, Any]) -> AnySpec:
    """The validated row; raises pydantic's ValidationError."""
    return (MultiviewSpec if is_multiview(fields) else ClipSpec).model_validate(fields)


def default_model(fields: Mapping[str, Any]) -> str:
    """The model that makes a row when none is named: the tiny one of its kind."""
    return "tiny-multiview" if is_multiview(fields) else "tiny-transfer"


def field_type(name: str) -> Any:  # noqa: ANN401 - types are of no one type
    """The type of a field such as `seed` or `edge.control_weight`; None where there is no such field."""
    owner, dot, key = name.partition(".")
    if not dot and name in OBJECTS:
        return dict[str, Any]
    found = fields_of(owner).get(key) if dot else fields_of().get(name)
    return None if found is None else found.annotation


def named_files(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every (field, path or URL) that a row's fields name, nested ones as `edge.control_path`; no other types."""
    objects = {f"{name}.": fields[name] for name in OBJECTS if isinstance(fields.get(name), Mapping)}
    for prefix, owner in {"": fields, **objects}.items():
        yield from ((prefix + name, owner[name]) for name in PATH_FIELDS if isinstance(owner.get(name), str))


def alternatives(annotation: object) -> list[Any]:
    """The types that an annotation allows, None left out."""
    if get_origin(annotation) is Annotated:
        return alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [kind for part in get_args(annotation) if part is not type(None) for kind in alternatives(part)]
    return [annotation]


@lru_cache(maxsize=1024)
def plain_type(name: str) -> type | None:
    """What a field such as `edge.control_weight` holds: int, float, bool, str, list or dict; None for no field."""
    annotation = field_type(name)
    if annotation is None:
        return None
    kind = alternatives(annotation)[0]
    origin = get_origin(kind)
    return str if origin is Literal else origin or kind


def fields_of(owner: str | None = None) -> dict[str, FieldInfo]:
    """The fields of rows of any kind, or of one of their objects; empty where there is no such object."""
    if owner is None:
        return {**MultiviewSpec.model_fields, **ClipSpec.model_fields}
    objects: dict[str, type[Strict]] = {"edge": EdgeSpec, "vis": VisSpec, "depth": DepthSpec, "seg": SegSpec}
    objects |= dict.fromkeys(RIG, ViewSpec)
    return objects[owner].model_fields if owner in objects else {}


def spec_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a row as it is written in a file, where `name` may be left out."""
    kinds = {"One camera": ClipSpec.model_json_schema(), "Several cameras": MultiviewSpec.model_json_schema()}
    definitions: dict[str, Any] = {}
    for title, kind in kinds.items():
        definitions |= kind.pop("$defs")
        del kind["required"]  # only `name` is, and the file's stem stands for it
        kind["title"] = title
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Airshower row",
        "description": "One clip to generate, of one camera or of several. Paths may be local or URLs; relative ones "
        "are seen from the folder of the file that names them. Exactly one of prompt and prompt_path and at least one "
        "control or camera are needed.",
        "anyOf": list(kinds.values()),
        "$defs": definitions,
    }
