"""The HTTP interface as a page to read, `/docs`: made of its OpenAPI document, without scripts and other files."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from airshower.platform.page_template import page_environment, page_style

_TEMPLATES = Path(__file__).parent
_METHODS = ("get", "post", "delete")


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a body, or of an object in it."""

    name: str
    kind: str
    default: str
    text: str
    inner: tuple["Field", ...] = ()


@dataclass(frozen=True, kw_only=True)
class Route:
    """One thing to ask for."""

    method: str
    path: str
    summary: str
    bodies: dict[str, tuple[Field, ...]]  # by content type
    answers: list[tuple[str, str, str]]  # status, meaning, what comes


def docs_page(document: Mapping[str, Any]) -> Callable[..., str]:
    """The page of an OpenAPI document, as HTML, by the `address`, host and port, that it is looked at on."""
    return partial(
        page_environment(_TEMPLATES).get_template("docs.html").render,
        title=document["info"]["title"],
        version=document["info"]["version"],
        steps=[_with_code(line) for line in document["info"]["description"].splitlines() if line],
        routes=list(_routes(document)),
        style=page_style(_TEMPLATES, "docs.css"),
    )


def _with_code(line: str) -> Markup:
    """A line of the description, in which `words` are code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(line))))


def _routes(document: Mapping[str, Any]) -> Iterator[Route]:
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method not in methods:
                continue
            operation = methods[method]
            content = operation.get("requestBody", {}).get("content", {})
            yield Route(
                method=method.upper(),
                path=path,
                summary=operation["summary"],
                bodies={kind: tuple(_fields(one["schema"], document)) for kind, one in content.items()},
                answers=[_answer(status, one) for status, one in sorted(operation["responses"].items())],
            )


def _answer(status: str, response: Mapping[str, Any]) -> tuple[str, str, str]:
    kinds = {kind: _title(one.get("schema", {})) for kind, one in response.get("content", {}).items()}
    told = ", ".join(f"{kind} ({title})" if title else kind for kind, title in kinds.items())
    return status, HTTPStatus(int(status)).phrase, told


def _fields(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[Field]:
    required = schema.get("required", ())
    for name, one in schema.get("properties", {}).items():
        kinds = [_resolved(kind, document) for kind in one.get("anyOf", [one])]
        inner = next((tuple(_fields(kind, document)) for kind in kinds if kind.get("properties")), ())
        words = [_kind(kind) for kind in kinds if kind.get("type") != "null"]
        default = "required" if name in required else _default(one.get("default"))
        text = one.get("description", "")
        yield Field(name=name, kind=" or ".join(words), default=default, text=text, inner=inner)


def _kind(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "contentMediaType" in schema:
        return "file"
    low, high = schema.get("minimum"), schema.get("maximum")
    words = {"string": "text", "boolean": "true or false", "array": "list", "integer": "whole number"}
    kind = words.get(schema.get("type", ""), schema.get("type", ""))
    return f"{kind} {low:.10g}..{high:.10g}" if low is not None and high is not None else kind


def _default(value: Any) -> str:  # noqa: ANN401 - any JSON
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _resolved(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref")
    return schema if reference is None else document["components"]["schemas"][reference.rpartition("/")[2]]


def _title(schema: Mapping[str, Any]) -> str:
    return schema.get("$ref", "").rpartition("/")[2]
