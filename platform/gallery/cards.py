"""What the gallery says of one clip: a card with its videos, settings and times, from its manifest entry and record.

A clip whose record is missing is told from its entry alone, as rows that failed are, which leave no record. Plain data;
how it looks is the page's.
"""

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from airshower.configs.cameras import RIG
from airshower.configs.multiview_spec import HDMAP
from airshower.configs.spec import CONTROLS
from airshower.pipelines.events import STAGES

_FILE_WORDS = {"video": "output", "cameras": "camera parameters", "record": "record"}  # others by their kind


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One video or image of a card."""

    kind: str  # input, control, mask or output
    label: str
    note: str
    url: str
    path: str = ""  # the file that it was made from

    @property
    def is_image(self) -> bool:
        """Whether it is a picture that doesn't move: a clip of one frame is one."""
        return self.url.endswith(".jpg")


@dataclass(frozen=True, kw_only=True)
class OutputLink:
    """One of the clip's files, to download."""

    label: str
    url: str
    name: str


@dataclass(frozen=True, kw_only=True)
class StageTime:
    """How long a stage took, and its share of the clip's whole time."""

    stage: str
    seconds: float
    percent: float


@dataclass(frozen=True, kw_only=True)
class Card:
    """All that the page says of one clip."""

    index: int
    name: str
    done: bool
    prompt: str
    source: str
    error: str
    error_kind: str
    warnings: tuple[str, ...]
    width: int
    height: int
    fps: float
    seed: int | None
    controls: tuple[str, ...]  # kinds
    references: tuple[Tile, ...]  # what the output can be compared with: input, controls, masks
    output: Tile | None
    files: tuple[OutputLink, ...]  # the output first
    comparable: bool  # whether the output's picture is the clip's alone
    settings: tuple[tuple[str, str], ...]
    times: tuple[StageTime, ...]
    seconds_total: float
    detail_seconds: str
    model: str
    model_detail: str
    row: Mapping[str, Any]  # what makes the clip again; empty where that isn't known
    input_files: tuple[str, ...]  # what it is made from
    group: int | None = None  # of the clips that are made from the same files, where there are others
    differences: tuple[tuple[str, str], ...] = ()  # (name, value) of what is not the same in all of the group

    @property
    def facts(self) -> dict[str, Any]:
        """What the page's script sorts, filters and groups by, and copies."""
        return {
            "name": self.name,
            "status": "done" if self.done else "failed",
            "warnings": len(self.warnings),
            "seed": self.seed,
            "controls": self.controls,
            "seconds": self.seconds_total,
            "group": self.group,
            "row": self.row,
        }


def card_of(entry: Mapping[str, Any], record: Mapping[str, Any]) -> Card:
    """The card of a line of the manifest; `record` is its NAME.json, empty where there is none.

    Raises AttributeError, TypeError or ValueError for a record of another form than a run's.
    """
    spec = record.get("spec") or {}
    if any(not isinstance(spec.get(part) or {}, Mapping) for part in (*CONTROLS, *RIG)):
        raise TypeError("spec: a control or a camera is an object")
    model = record.get("model") or {}
    files = _files(entry, record)
    return Card(
        index=entry["index"],
        name=entry["name"],
        done=entry["status"] == "done",
        prompt=entry.get("prompt") or "",
        source=entry.get("source") or "",
        error=entry.get("error_message") or "",
        error_kind=" · ".join(filter(None, (entry.get("error_stage"), entry.get("error_type")))),
        warnings=tuple(record.get("warnings") or ()),
        width=int(entry.get("width") or 16),
        height=int(entry.get("height") or 9),
        fps=float(entry.get("fps") or 24),
        seed=spec.get("seed"),
        controls=_controls(spec),
        references=tuple(_references(files, spec)),
        output=_output(files),
        files=_links(files),
        comparable=not (spec.get("show_input") or spec.get("show_control_condition")),
        settings=_settings(entry, spec),
        times=_times(entry),
        seconds_total=float(entry.get("seconds_total") or 0),
        detail_seconds=_detail_seconds(record.get("seconds") or {}),
        model=f"{model.get('name', '')} {model.get('sha256', '')[:8]}".strip(),
        model_detail=_model_detail(model, record.get("versions") or {}),
        row=_given(spec),
        input_files=_input_files(spec),
    )


def _files(entry: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, str]:
    """Paths of the clip's files in the run folder, by kind, the clip itself first and its record last."""
    if entry["status"] != "done":
        return {}
    record_path = entry.get("record")
    folder = posixpath.dirname(record_path or "")
    outputs = {kind: posixpath.join(folder, file) for kind, file in (record.get("outputs") or {}).items()}
    outputs.pop("record", None)
    found = {"video": entry.get("video"), **outputs, "record": record_path}
    return {kind: path for kind, path in found.items() if path}


def _references(files: Mapping[str, str], spec: Mapping[str, Any]) -> Iterator[Tile]:
    """Input, then the controls in their published order, each followed by its mask if it was found by words."""
    if "input" in files:
        path = spec.get("video_path") or spec.get("input_path") or ""
        yield Tile(kind="input", label="input", note="", url=quote(files["input"]), path=path)
    for control in (*CONTROLS, HDMAP):
        said = (spec if control == HDMAP else spec.get(control)) or {}
        if path := files.get(f"control_{control}"):
            note = f"weight {said.get('control_weight', 1):g}"
            url, origin = quote(path), said.get("control_path") or ""
            yield Tile(kind="control", label=control, note=note, url=url, path=origin)
        if path := files.get(f"mask_{control}"):
            words = said.get("mask_prompt") or ""
            yield Tile(kind="mask", label=f"{control} mask", note=words, url=quote(path))


def _output(files: Mapping[str, str]) -> Tile | None:
    """The clip as one looks at it: cameras in a grid, where there are several."""
    path = files.get("grid") or files.get("video")
    return None if path is None else Tile(kind="output", label="output", note="", url=quote(path))


def _links(files: Mapping[str, str]) -> tuple[OutputLink, ...]:
    """Each file once, though two kinds may be one file."""
    kinds: dict[str, str] = {}
    for kind, path in files.items():
        kinds.setdefault(path, kind)
    return tuple(
        OutputLink(label=_FILE_WORDS.get(kind, kind.replace("_", " ")), url=quote(path), name=posixpath.basename(path))
        for path, kind in kinds.items()
    )


def _controls(spec: Mapping[str, Any]) -> tuple[str, ...]:
    of_cameras = any((spec.get(camera) or {}).get("control_path") for camera in RIG)
    return tuple(control for control in CONTROLS if spec.get(control)) + ((HDMAP,) if of_cameras else ())


def _input_files(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """The video that a row is made from, or where it names none, the files of its controls or cameras."""
    if single := spec.get("video_path") or spec.get("input_path"):
        return (single,)
    parts = [spec.get(part) or {} for part in (*CONTROLS, *RIG)]
    return tuple(part[key] for part in parts for key in ("input_path", "control_path") if part.get(key))


def _given(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A record's spec without what is not given: a row that makes the same clip."""
    return {
        key: _given(value) if isinstance(value, Mapping) else value for key, value in spec.items() if value is not None
    }


def _settings(entry: Mapping[str, Any], spec: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """(name, value) of what shaped the clip; what is unknown is left out."""
    candidates = {
        "seed": spec.get("seed"),
        "size": f"{entry['width']}\u2009\u00d7\u2009{entry['height']}" if entry.get("width") else None,
        "frames": _frames_words(entry),
        "chunks": entry.get("chunks"),
        "steps": spec.get("num_steps"),
        "guidance": spec.get("guidance"),
        "resolution": spec.get("resolution"),
        "avoid": spec.get("negative_prompt") or None,
    }
    return tuple((name, str(value)) for name, value in candidates.items() if value is not None)


def _frames_words(entry: Mapping[str, Any]) -> str | None:
    frames, fps = entry.get("frames"), entry.get("fps") or 1
    if not frames:
        return None
    return "1, an image" if frames == 1 else f"{frames} at {fps:g} fps ({frames / fps:.1f} s)"


def _times(entry: Mapping[str, Any]) -> tuple[StageTime, ...]:
    seconds = {stage: float(entry.get(f"seconds_{stage}") or 0) for stage in STAGES}
    whole = sum(seconds.values()) or 1.0
    return tuple(
        StageTime(stage=stage, seconds=value, percent=100 * value / whole) for stage, value in seconds.items() if value
    )


def _detail_seconds(seconds: Mapping[str, float]) -> str:
    """The parts of the generate stage in one line, for the time bar's tooltip."""
    parts = {name: seconds[f"{name}_s"] for name in ("encode", "denoise", "decode") if f"{name}_s" in seconds}
    return " · ".join(f"{name} {value:.2f} s" for name, value in parts.items())


def _model_detail(model: Mapping[str, Any], versions: Mapping[str, Any]) -> str:
    identity = [f"{key} {model[key]}" for key in ("family", "weights", "sha256") if model.get(key)]
    return "\n".join(identity + [f"{name} {version}" for name, version in versions.items()])
