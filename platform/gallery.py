"""The gallery of a run: one `index.html` that shows every clip beside its input and controls.

The page is self-contained (style and script are inlined, nothing is fetched but the run's own videos, by relative
path), so it plays from disk and after the folder has moved. It is made from `manifest.parquet` and the `NAME.json`
records alone: it never opens a video and never changes a run's other files.
"""

import json
import posixpath
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import pyarrow as pa
import pyarrow.parquet as pq
from markupsafe import Markup

from airshower.cluster import storage
from airshower.cluster.store import open_store
from airshower.configs.multiview_spec import HDMAP
from airshower.configs.spec import CONTROLS
from airshower.pipelines.events import STAGES
from airshower.pipelines.own_files import GALLERY_NAME, MANIFEST_NAME, REPORT_NAME, write_page

MOST_CARDS = 2000  # a browser is asked to show
_PARALLEL_READS = 16
_TEMPLATES = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One video or image of a card."""

    kind: str  # input, control, mask or output
    label: str
    note: str
    url: str

    @property
    def is_image(self) -> bool:
        """Whether it is a picture that doesn't move: a clip of one frame is one."""
        return self.url.endswith(".jpg")


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
    width: int
    height: int
    fps: float
    tiles: tuple[Tile, ...]
    settings: tuple[tuple[str, str], ...]
    times: tuple[StageTime, ...]
    seconds_total: float
    detail_seconds: str
    model: str
    model_detail: str
    record_url: str

    @property
    def search_text(self) -> str:
        """What the page's filter box looks through."""
        return " ".join((self.name, self.prompt, self.source, self.error_kind, self.error)).lower()


def write_gallery(run_folder: str) -> str:
    """Writes `index.html` into a run folder (a path or an fsspec URL) and returns its path.

    Raises ValueError when the folder holds no manifest, OSError when the page can't be written, or isn't ours.
    """
    folder = storage.absolute(run_folder)
    manifest = storage.join(folder, MANIFEST_NAME)
    if not storage.exists(manifest):
        raise ValueError(f"{run_folder}: has no manifest.parquet, so it is no run folder: give the folder of a run")
    with storage.open_file(manifest) as file:
        table = pq.read_table(file)
    entries = table.take(pa.array(_shown(table["status"]), pa.int64())).to_pylist()
    with ThreadPoolExecutor(_PARALLEL_READS) as pool:  # on object storage each record is a request of its own
        records = pool.map(lambda entry: _read_record(folder, entry), entries)
        cards = [_card(entry, record) for entry, record in zip(entries, records, strict=True)]
    report = REPORT_NAME if storage.exists(storage.join(folder, REPORT_NAME)) else None
    page = render(folder.rstrip("/").rpartition("/")[2], cards, len(table), report)
    write_page(open_store(folder, probe=False), GALLERY_NAME, page)
    return storage.join(folder, GALLERY_NAME)


def _shown(status: pa.ChunkedArray) -> list[int]:
    """The rows that the page shows, in their order: of very many all kinds of ends, evenly chosen."""
    ends: dict[str, list[int]] = {}
    for place, end in enumerate(status.to_pylist()):
        ends.setdefault(end, []).append(place)
    shown: list[int] = []
    for number, places in enumerate(sorted(ends.values(), key=len)):  # what the rare ones leave is for the others
        share = (MOST_CARDS - len(shown)) // (len(ends) - number)
        shown += [places[one * len(places) // share] for one in range(share)] if len(places) > share else places
    return sorted(shown)


def render(title: str, cards: list[Card], rows: int, report: str | None = None) -> str:
    """The page as HTML text, with a link to the run's report; everything that comes from rows is escaped.

    `rows` are those of the run, of which `cards` may be some.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    return environment.get_template("gallery.html").render(
        title=title,
        cards=cards,
        rows=rows,
        report=report,
        totals=_totals(cards),
        failed=sum(not card.done for card in cards),
        style=Markup((_TEMPLATES / "gallery.css").read_text(encoding="utf-8")),
        script=Markup((_TEMPLATES / "gallery.js").read_text(encoding="utf-8")),
    )


def _read_record(folder: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The clip's record; a clip whose record is gone, unreadable or another's is shown from the manifest alone."""
    if not entry.get("record"):
        return {}
    try:
        record = json.loads(storage.read_bytes(storage.join(folder, entry["record"])))
    except (OSError, ValueError):
        return {}
    if not isinstance(record, dict):
        return {}
    own = posixpath.basename(entry["record"])
    return record if (record.get("outputs") or {}).get("record", own) == own else {}


def _card(entry: Mapping[str, Any], record: Mapping[str, Any]) -> Card:
    spec = record.get("spec") or {}
    model = record.get("model") or {}
    return Card(
        index=entry["index"],
        name=entry["name"],
        done=entry["status"] == "done",
        prompt=entry.get("prompt") or "",
        source=entry.get("source") or "",
        error=entry.get("error_message") or "",
        error_kind=" · ".join(filter(None, (entry.get("error_stage"), entry.get("error_type")))),
        width=int(entry.get("width") or 16),
        height=int(entry.get("height") or 9),
        fps=float(entry.get("fps") or 24),
        tiles=_tiles(entry, record, spec),
        settings=_settings(entry, spec),
        times=_times(entry),
        seconds_total=float(entry.get("seconds_total") or 0),
        detail_seconds=_detail_seconds(record.get("seconds") or {}),
        model=f"{model.get('name', '')} {model.get('sha256', '')[:8]}".strip(),
        model_detail=_model_detail(model, record.get("versions") or {}),
        record_url=quote(entry.get("record") or ""),
    )


def _tiles(entry: Mapping[str, Any], record: Mapping[str, Any], spec: Mapping[str, Any]) -> tuple[Tile, ...]:
    """Input, controls in their published order, each followed by its mask if it was found by words, then the output."""
    if entry["status"] != "done":
        return ()
    folder = posixpath.dirname(entry.get("record") or "")
    outputs = {kind: posixpath.join(folder, file) for kind, file in (record.get("outputs") or {}).items()}
    if entry.get("video"):
        outputs["video"] = outputs.get("grid", entry["video"])
    tiles = []
    if "input" in outputs:
        tiles.append(Tile(kind="input", label="input", note="", url=quote(outputs["input"])))
    for control in (*CONTROLS, HDMAP):
        if path := outputs.get(f"control_{control}"):
            weight = (spec if control == HDMAP else spec.get(control) or {}).get("control_weight", 1)
            tiles.append(Tile(kind="control", label=control, note=f"weight {weight:g}", url=quote(path)))
        if path := outputs.get(f"mask_{control}"):
            words = (spec.get(control) or {}).get("mask_prompt") or ""
            tiles.append(Tile(kind="mask", label=f"{control} mask", note=words, url=quote(path)))
    if "video" in outputs:
        tiles.append(Tile(kind="output", label="output", note="", url=quote(outputs["video"])))
    return tuple(tiles)


def _settings(entry: Mapping[str, Any], spec: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """(name, value) of what shaped the clip; what is unknown is left out."""
    candidates = {
        "size": f"{entry['width']}\u2009\u00d7\u2009{entry['height']}" if entry.get("width") else None,
        "frames": _frames_words(entry),
        "chunks": entry.get("chunks"),
        "steps": spec.get("num_steps"),
        "guidance": spec.get("guidance"),
        "seed": spec.get("seed"),
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


def _totals(cards: list[Card]) -> tuple[tuple[str, str], ...]:
    """(name, value) of the header's figures."""
    done = [card for card in cards if card.done]
    models = sorted({card.model.partition(" ")[0] for card in done if card.model})
    totals = [("clips", str(len(cards))), ("done", str(len(done))), ("failed", str(len(cards) - len(done)))]
    if done:
        mean_s = sum(card.seconds_total for card in done) / len(done)
        totals.append(("mean time of a clip", f"{mean_s:.1f} s"))
    if models:
        totals.append(("model", ", ".join(models)))
    return tuple(totals)
