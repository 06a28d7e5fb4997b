"""The gallery of a run folder of real videos: what it says, escapes and copies. In a browser: test_gallery_browser."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airshower.configs.presets import PRESETS
from airshower.configs.row_formats import spec_of
from airshower.pipelines.manifest import SCHEMA
from airshower.platform.gallery.cards import Card, card_of
from airshower.platform.gallery.page import write_gallery
from airshower.platform.gallery.variants import with_variants
from tests.platform.gallery_runs import HOSTILE, make_image_run, make_run


class Page(HTMLParser):
    """Tags with attributes, and all text, of an HTML page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def given(self, tag: str, name: str) -> list[str | None]:
        """The values of an attribute of all tags of this kind that have it."""
        return [given[name] for found, given in self.tags if found == tag and name in given]


def test_it_says_what_the_run_did(tmp_path):
    folder = make_run(tmp_path / "night drive", warnings={0: ["edge.mask_path: covers nothing"]})
    path = write_gallery(str(folder))
    assert path == str(folder / "index.html")
    text = Page(Path(path).read_text()).text
    words = ("night drive", "tiny-transfer 01234567", "weight 0.5", "prepare 1.00 s", "rows.jsonl:3", "night/rgb.mp4")
    for some in (*words, "edge.mask_path: covers nothing", "Warnings 1"):
        assert some in text
    for pair in (r"seed\s*7", r"steps\s*12", r"size\s*64.\u00d7.48", r"frames\s*25 at 10 fps", r"failed\s*1"):
        assert re.search(pair, text), pair
    assert "failed in prepare · MediaError" in text


def test_it_escapes_everything_and_asks_nobody(tmp_path):
    page = Page(Path(write_gallery(str(make_run(tmp_path / "run", [{"prompt": HOSTILE}])))).read_text())
    assert page.text.count(HOSTILE) == 2  # as text: the prompt, and the error's message
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert "img" not in [tag for tag, _ in page.tags]
    addresses = [value for _, given in page.tags for key, value in given.items() if key in ("src", "href", "data-src")]
    assert not [address for address in addresses if address and re.match(r"\w+://|//|/", address)]
    videos = [unquote(address or "") for address in page.given("div", "data-src")]
    assert videos == ["clip0.mp4", "clip0_input.mp4", "clip0_input.mp4", "clip0_control_edge.mp4"]
    facts = [json.loads(said or "") for said in page.given("article", "data-facts")]
    assert facts[0]["row"]["prompt"] == HOSTILE
    assert list(facts[0]["row"])[:2] == ["num_steps", "guidance"]  # in the record's order


def test_each_file_can_be_downloaded_under_its_own_name_the_clip_first(tmp_path):
    folder = make_run(tmp_path / "run")
    page = Page(Path(write_gallery(str(folder))).read_text())
    names = page.given("a", "download")
    assert names[:2] == ["clip0.mp4", "clip0.mp4"]  # the button, and the menu's first
    assert sorted(map(str, names[1:])) == ["clip0.json", "clip0.mp4", "clip0_control_edge.mp4", "clip0_input.mp4"]


@pytest.mark.parametrize(
    "damage",
    [
        "{ truncated",
        "[]",
        '{"spec": {"seed": NaN}}',
        '{"spec": [1]}',
        '{"spec": {"edge": 3}}',
        '{"outputs": 7}',
        '{"spec": {"seed": 8}, "outputs": {"record": "other.json"}}',
    ],
)
def test_a_clip_without_its_record_is_shown_from_the_manifest(tmp_path, damage):
    folder = make_run(tmp_path / "run")
    (folder / "clip0.json").write_text(damage)
    page = Page(Path(write_gallery(str(folder))).read_text())
    assert page.given("div", "data-src") == ["clip0.mp4"]
    assert page.given("button", "data-copy") == ["prompt", "prompt"]  # its seed and its row aren't known


def test_it_links_to_the_report_where_there_is_one(tmp_path):
    folder = make_run(tmp_path / "run")
    links = []
    for _ in range(2):
        page = Page(Path(write_gallery(str(folder))).read_text())
        links.append([address for address in page.given("a", "href") if address == "report.html"])
        (folder / "report.html").touch()
    assert links == [[], ["report.html"]]


def test_a_folder_without_a_manifest_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"has no manifest\.parquet.*give the folder of a run"):
        write_gallery(str(tmp_path))


def test_a_clip_of_one_frame_is_shown_as_an_image(tmp_path):
    page = Page(Path(write_gallery(str(make_image_run(tmp_path / "run")))).read_text())
    shown = ("", "_input", "_input", "_control_edge")  # two of them in the comparison
    assert page.given("img", "src") == [f"data/still-1/still{end}.jpg" for end in shown]
    assert not page.given("div", "data-src")
    assert re.search(r"frames\s*1, an image", page.text)


def test_of_very_many_rows_some_of_every_end_are_shown(tmp_path):
    lines = [{"index": n, "name": f"row{n}", "status": "failed" if n % 300 == 7 else "done"} for n in range(3000)]
    pq.write_table(pa.Table.from_pylist(lines, schema=SCHEMA), tmp_path / "manifest.parquet")
    page = Page(Path(write_gallery(str(tmp_path))).read_text())
    statuses = [json.loads(said or "")["status"] for said in page.given("article", "data-facts")]
    assert (len(statuses), statuses.count("failed")) == (2000, 10)
    assert "2,000 of 3,000 rows are shown" in page.text


EDGE = {"name": "a", "prompt": "A street at night, wet.", "video_path": "/in/rgb.mp4", "edge": {}, "seed": 1}
CAMERAS = {camera: {"control_path": f"/in/{camera}.mp4"} for camera in ("front_wide", "rear")}
RIG = {"name": "b", "prompt": "A street.", "num_conditional_frames": 0, **CAMERAS}


def card(model: str = "tiny-transfer", **fields: object) -> Card:
    """The card of a row as its record tells it."""
    fields = {**(EDGE if model == "tiny-transfer" else RIG), **fields}
    spec = spec_of(fields).resolved(PRESETS[model]).model_dump(mode="json")
    entry = {"index": 0, "name": fields["name"], "status": "done", "prompt": fields.get("prompt")}
    return card_of(entry, {"spec": spec})


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("tiny-transfer", {"edge": {"control_weight": 0.25}, "negative_prompt": "fog", "keep_input_resolution": True}),
        ("tiny-transfer", {"prompt": None, "prompt_path": "/in/words.txt"}),
        ("tiny-multiview", {"save_combined_views": False}),
    ],
)
def test_the_row_that_is_copied_is_the_row_that_was_made(model, fields):
    first = card(model, **fields)
    again = spec_of(json.loads(json.dumps(first.row))).resolved(PRESETS[model])
    assert again == spec_of({**(EDGE if model == "tiny-transfer" else RIG), **fields}).resolved(PRESETS[model])
    assert None not in first.row.values()


def test_variants_are_told_apart_by_what_is_not_the_same_in_all_of_them():
    def differences(*cards: Card) -> list[dict[str, str]]:
        return [dict(found.differences) for found in with_variants(cards)]

    assert differences(card(), card(name="b", seed=2)) == [{"seed": "1"}, {"seed": "2"}]
    steps = card(num_steps=4, prompt="A street in the snow, wet.")
    assert differences(card(), steps) == [
        {"steps": "12", "prompt": "… at night, …"},
        {"steps": "4", "prompt": "… in the snow, …"},
    ]
    both = card(edge={"control_weight": 0.5}, vis={})
    assert differences(card(), both) == [{"controls": "edge 1"}, {"controls": "edge 0.5, vis 1"}]
    file = card(edge={"control_path": "/in/deep/edge.mp4"})
    assert differences(card(), file) == [{"edge control path": "none"}, {"edge control path": "edge.mp4"}]
    assert differences(card(), card()) == [{}, {}]


def test_variants_share_the_video_or_else_all_files_that_they_are_made_from():
    moved = {"rear": {"control_path": "/else/rear.mp4"}}
    rigs = [card("tiny-multiview", seed=1), card("tiny-multiview", seed=2), card("tiny-multiview", **moved)]
    clips = [card(), card(video_path="/in/other.mp4"), card(vis={})]
    failed = card_of({"index": 9, "name": "x", "status": "failed"}, {})
    found = with_variants([*rigs, *clips, failed])
    assert [one.group for one in found] == [0, 0, None, 1, None, 1, None]
    assert found[0].controls == ("hdmap",)
