"""What the HTTP interface says about itself: its messages, and the request body that FastAPI can't derive.

A row comes as JSON or inside a form whose files are streamed to disk, so no handler argument can stand for the body and
it is described here, from the row format itself.
"""

from typing import Any, Literal

from pydantic import BaseModel, Field

from airshower.configs.multiview_spec import MultiviewSpec
from airshower.configs.presets import ModelPreset
from airshower.configs.spec import ClipSpec
from airshower.platform.jobs import Video
from airshower.platform.uploads import CLIP_PARTS, VIEW_PARTS

DESCRIPTION = """Post a row (the fields of `airshower spec schema`), get a video that follows its controls.

1. `POST /v1/videos` with the row as JSON, or as a form with the row in `spec` and its videos as files
2. `GET /v1/videos/{id}` until `status` is `done`, or `failed` with the reason
3. `GET /v1/videos/{id}/content` for the mp4, or for the jpg of a clip of one frame"""

EXAMPLE = {"prompt": "A sunny street with a red car and tall trees.", "edge": {"control_weight": 1.0}, "seed": 2025}


Phase = Literal["starting", "ready", "stopping"]


class Problem(BaseModel):
    """The body of every refusal."""

    error: str = Field(description="One line: the field, the rule, the remedy")


class VideoList(BaseModel):
    """Videos, newest first."""

    videos: list[Video]


class Model(BaseModel):
    """A model that this service runs, with its defaults for a row."""

    name: str
    family: str
    controls: list[str]
    resolution: str = Field(description="Size key; the aspect ratio follows the input")
    frames_per_chunk: int
    num_steps: int
    guidance: int
    keep_input_resolution: bool = Field(description="Whether a clip is resized back to its input's size")

    @classmethod
    def of(cls, preset: ModelPreset) -> "Model":
        return cls.model_validate(preset, from_attributes=True)


class ModelList(BaseModel):
    """The models of this service."""

    models: list[Model]


class Health(BaseModel):
    """Whether videos can be generated now."""

    status: Phase
    ready: bool
    replicas: int = Field(description="Loaded models that are ready")
    unfinished: int = Field(description="Videos queued or running")


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals of a route, for its documentation."""
    return {status: {"model": Problem} for status in statuses}


def files(*media_types: str) -> dict[int | str, dict[str, Any]]:
    """What a route answers that sends a file, for its documentation."""
    text: dict[str, Any] = {"content": {"text/plain": {}}}
    whole: dict[str, Any] = {"content": {media_type: {} for media_type in media_types}}
    return {200: whole, 206: whole | {"description": "The range asked for"}, 400: text, 416: text}


def request_body(preset: ModelPreset) -> dict[str, Any]:
    """OpenAPI extra of the route that takes a row of the model's kind."""
    several = preset.multiview is not None
    row = inlined((MultiviewSpec if several else ClipSpec).model_json_schema())
    row["required"] = []  # the server names a row that has no name; the rest is checked with the row's own rules
    file = {"type": "string", "contentMediaType": "application/octet-stream"}
    form = {
        "type": "object",
        "required": ["spec"],
        "properties": {"spec": row | {"description": "The row as JSON"}}
        | dict.fromkeys(VIEW_PARTS if several else CLIP_PARTS, file),
    }
    content = {
        "application/json": {"schema": row, "example": EXAMPLE | {"video_path": "https://host/allowed/input.mp4"}},
        "multipart/form-data": {"schema": form, "encoding": {"spec": {"contentType": "application/json"}}},
    }
    return {"requestBody": {"required": True, "content": content}}


def inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema without `$defs`: their references would not resolve inside an OpenAPI document."""
    definitions = schema.get("$defs", {})

    def inline(node: Any) -> Any:  # noqa: ANN401 - any JSON value
        if isinstance(node, list):
            return [inline(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return inline(definitions[node["$ref"].rsplit("/", 1)[1]])
        return {key: inline(value) for key, value in node.items() if key != "$defs"}

    return inline(schema)
