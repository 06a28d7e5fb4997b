"""The gallery of a run: one `index.html` that shows every clip beside its input and controls.

The page is self-contained (style and scripts are inlined, nothing is fetched but the run's own videos, by relative
path), so it plays from disk, from object storage and after the folder has moved. It is made from `manifest.parquet` and
the `NAME.json` records alone: it never opens a video and never changes a run's other files. What it says of a clip is
`airshower.platform.gallery.cards`.
"""

import json
import posixpath
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from markupsafe import Markup

from airshower.cluster import storage
from airshower.cluster.store import open_store
from airshower.configs.multiview_spec import HDMAP
from airshower.configs.spec import CONTROLS
from airshower.pipelines.own_files import GALLERY_NAME, MANIFEST_NAME, REPORT_NAME, write_page
from airshower.platform.gallery.cards import Card, card_of
from airshower.platform.gallery.variants import with_variants
from airshower.platform.page_template import page_environment, page_style

MOST_CARDS = 2000  # a browser is asked to show
_PARALLEL_READS = 16
_FOLDER = Path(__file__).parent
_SCRIPTS = ("media", "playback", "comparison", "clips", "variants", "view", "address", "copying", "start")  # in order


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


def _read_record(folder: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The clip's record, empty where it is gone, unreadable or another's."""
    if not entry.get("record"):
        return {}
    try:
        data = storage.read_bytes(storage.join(folder, entry["record"]))
        record = json.loads(data, parse_constant=_refuse)
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) and _is_of(entry, record) else {}


def _is_of(entry: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    """Whether a record doesn't name another file as its own: it would be that of another clip."""
    outputs = record.get("outputs")
    return not isinstance(outputs, dict) or outputs.get("record") in (None, posixpath.basename(entry["record"]))


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON: no script could read it")


def _card(entry: Mapping[str, Any], record: Mapping[str, Any]) -> Card:
    """The clip's card; one whose record isn't what a run writes is shown from the manifest alone."""
    try:
        return card_of(entry, record)
    except (AttributeError, TypeError, ValueError):
        return card_of(entry, {})


def render(title: str, cards: Sequence[Card], rows: int, report: str | None = None) -> str:
    """The page as HTML text, with a link to the run's report; everything that comes from rows is escaped.

    `rows` are those of the run, of which `cards` may be some.
    """
    environment = page_environment(_FOLDER)
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}  # in the row's order
    cards = with_variants(cards)
    return environment.get_template("gallery.html").render(
        title=title,
        cards=cards,
        rows=rows,
        report=report,
        totals=_totals(cards),
        statuses=_statuses(cards),
        controls=_controls(cards),
        seeds=sorted({card.seed for card in cards if card.seed is not None}),
        with_variants=any(card.group is not None for card in cards),
        style=page_style(_FOLDER, "gallery.css", "card.css"),
        script=Markup("".join((_FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in _SCRIPTS)),
    )


def _totals(cards: Sequence[Card]) -> tuple[tuple[str, str], ...]:
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


def _statuses(cards: Sequence[Card]) -> tuple[tuple[str, str, int], ...]:
    """(value, words, how many) of what the page can be narrowed down to: not what none or all are."""
    counts = (
        ("done", "Done", sum(card.done for card in cards)),
        ("failed", "Failed", sum(not card.done for card in cards)),
        ("warnings", "Warnings", sum(bool(card.warnings) for card in cards)),
    )
    return tuple(status for status in counts if 0 < status[2] < len(cards))


def _controls(cards: Sequence[Card]) -> tuple[str, ...]:
    """The kinds of controls by which clips can be told apart: not those that all have."""
    counts = Counter(control for card in cards for control in card.controls)
    return tuple(kind for kind in (*CONTROLS, HDMAP) if 0 < counts[kind] < len(cards))
