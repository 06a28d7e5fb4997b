"""The gallery in a real browser, from disk: it plays, compares, copies, sorts, leads to a clip and fits a phone."""

import json
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from airshower.platform.gallery.page import write_gallery
from tests.platform.chromium import Tab, wait_until
from tests.platform.gallery_runs import make_image_run, make_run

NAMES = "[...document.querySelectorAll('.clip')].filter((card) => card.checkVisibility()).map((card) => card.id)"
STREET = {"prompt": "A street in the rain.", "seed": 3}
SNOW = {"prompt": "A street in the snow.", "seed": 12, "depth": {"control_weight": 0.25}}
OTHER = {"prompt": "A road." + " It goes on." * 200, "seed": 3, "video_path": "/recordings/day/rgb.mp4"}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> str:
    """The address of a gallery of three clips, two of them of one input, one with a warning, and two failed rows."""
    folder = make_run(
        tmp_path_factory.mktemp("runs") / "run", [STREET, SNOW, OTHER], failed=2, warnings={1: ["depth: 4 levels"]}
    )
    return Path(write_gallery(str(folder))).as_uri()


def choose(tab: Tab, **values: str) -> None:
    """Fills the form in as a user does."""
    tab.value(
        f"Object.entries({json.dumps(values)}).forEach(([name, value]) => {{"
        "  const all = form.querySelectorAll(`[name=${name}]`);"
        "  const field = [...all].find((one) => one.value === value) ?? all[0];"
        "  if (field.matches('[type=checkbox], [type=radio]')) field.checked = true; else field.value = value;"
        "  field.dispatchEvent(new Event('input', { bubbles: true }));"
        "})"
    )


def test_every_video_plays_in_step_from_a_moved_folder(tab, tmp_path):
    folder = make_run(tmp_path / "run", [{}] * 3)
    write_gallery(str(folder))
    moved = folder.rename(tmp_path / "moved #1")
    tab.open(f"{moved.as_uri().replace('#', '%23')}/index.html")
    assert tab.value("document.title") == "run · Airshower"  # no prompt ran as a script
    for index in range(3):  # far cards hold no videos, so each is looked at
        tab.value(f"clips[{index}].card.scrollIntoView()")
        tab.wait_for(f"clips[{index}].media.playable().length === 4")  # the input in the comparison, too
        tab.wait_for(f"clips[{index}].media.playable().every((video) => !video.paused && video.currentTime > 0.2)")
        spread_s = tab.value(
            f"(t => Math.max(...t) - Math.min(...t))(clips[{index}].media.playable().map((video) => video.currentTime))"
        )
        assert isinstance(spread_s, float | int)
        assert spread_s < 0.3
    tab.press(" ")
    tab.wait_for("[...document.querySelectorAll('video')].every((video) => video.paused)")
    at = "clips[2].media.playable().every((video) => Math.abs(video.currentTime - {}) < 0.01 && !video.seeking)"
    tab.value("clips[2].playback.seek(1)")
    tab.wait_for(at.format(1))
    tab.value("clips[2].card.focus()")
    tab.press("ArrowRight")  # from frame 10 to the middle of frame 11
    tab.wait_for(at.format(1.15))


def test_the_slider_moves_its_edge_by_mouse_and_by_key_and_over_any_tile(tab, run):
    tab.open(run)
    edge = "document.querySelector('#clip0 .edge')"
    cut = "getComputedStyle(document.querySelector('#clip0 .over')).clipPath"
    assert (tab.value(f"{edge}.getAttribute('role')"), tab.value(f"{edge}.ariaValueNow")) == ("slider", "50")
    tab.drag("#clip0 .stage .screen", 0.5, 0.25)
    assert (tab.value(f"{edge}.ariaValueNow"), tab.value(cut)) == ("25", "inset(0px 75% 0px 0px)")
    tab.value(f"{edge}.focus()")
    before_s = tab.value("clips[0].playback.hold(), clips[0].playback.leader().currentTime")
    for key in ("ArrowRight", "PageUp"):
        tab.press(key)
    assert (tab.value(f"{edge}.ariaValueNow"), tab.value(f"{edge}.ariaValueText")) == ("37", "37 % input")
    assert tab.value(cut) == "inset(0px 63% 0px 0px)"
    assert tab.value("clips[0].playback.leader().currentTime") == before_s  # the arrows didn't step a frame as well
    tab.press("End")
    assert tab.value(cut) == "inset(0px 0% 0px 0px)"
    tab.click("#clip0 .tile:nth-child(2) .against")
    over = "document.querySelector('#clip0 .over video')"
    tab.wait_for(f"{over}.src.endsWith('clip0_control_edge.mp4') && {over}.readyState >= 2 && !{over}.seeking")
    assert tab.value(f"{over}.currentTime") == pytest.approx(before_s, abs=0.06)  # where the others have stopped
    assert tab.value(f"{edge}.ariaLabel") == "Edge between edge and output"


def test_images_are_compared_too_and_those_that_are_gone_are_said(tab, tmp_path):
    folder = make_image_run(tmp_path / "run")
    write_gallery(str(folder))
    (folder / "data" / "still-1" / "still_control_edge.jpg").unlink()
    tab.open(f"{folder.as_uri()}/index.html")
    tab.wait_for("[...document.images].every((image) => image.complete)")
    assert tab.value("[...document.images].map((image) => image.naturalWidth)") == [64, 64, 64, 0]
    assert tab.value("[...document.querySelectorAll('.missing .against')].map((one) => one.innerText)") == ["edge"]
    tab.drag(".stage .screen", 0.5, 0.75)
    assert tab.value("getComputedStyle(document.querySelector('.over')).clipPath") == "inset(0px 25% 0px 0px)"
    tab.press("p")  # nothing to play


def test_what_is_copied_is_in_the_clipboard_and_the_old_way_where_there_is_none(tab, run):
    tab.allow("clipboardReadWrite", "clipboardSanitizedWrite")
    tab.open(run)
    copied = {}
    for what in ("seed", "prompt", "row"):
        tab.click(f"#clip1 [data-copy={what}]")
        tab.wait_for(f"document.querySelector('#clip1 [data-copy={what}]').matches('.copied')")
        copied[what] = tab.value("navigator.clipboard.readText()")
    assert (copied["seed"], copied["prompt"]) == ("12", SNOW["prompt"])
    assert json.loads(str(copied["row"]))["depth"] == {"control_weight": 0.25}
    tab.value("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    tab.value("document.addEventListener('copy', () => { window.seen = document.activeElement.value; })")
    tab.click("#clip0 [data-copy=seed]")
    tab.wait_for("window.seen === '3'")
    assert tab.value("told.textContent") == "Copied the seed of clip0."
    tab.value("document.execCommand = () => false")
    tab.click("#clip0 [data-copy=prompt]")
    tab.wait_for("document.querySelector('.by-hand').open")
    assert tab.value("document.querySelector('.by-hand textarea').value") == STREET["prompt"]


def test_a_click_downloads_the_clip_under_its_name_and_leaves_the_page_alone(tab, run, tmp_path):
    tab.download_to(tmp_path)
    folder = Path(run.removeprefix("file://")).parent
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=folder)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        tab.open(f"http://127.0.0.1:{server.server_port}/index.html")
        tab.click("#clip2 .download")
        wait_until((tmp_path / "clip2.mp4").exists, "the clip is downloaded")
        server.shutdown()
    tab.open(run)
    tab.click("#clip2 .download")  # from disk a browser shows it instead, in a tab of its own
    tab.wait_for("document.hidden")
    assert tab.value("location.href") == run


def test_a_long_prompt_unfolds(tab, run):
    tab.open(run)
    tab.value("clips[2].card.scrollIntoView()")
    tab.wait_for("!document.querySelector('#clip2 .unfold').hidden")
    assert tab.value("document.querySelector('#clip0 .unfold').hidden")
    prompt = "document.querySelector('#clip2 .prompt')"
    cut = f"{prompt}.scrollHeight > {prompt}.clientHeight + 1"
    seen = [tab.value(cut)]
    for _ in range(2):
        tab.click("#clip2 .unfold")
        seen += [tab.value("document.querySelector('#clip2 .unfold').ariaExpanded"), tab.value(cut)]
    assert seen == [True, "true", False, "false", True]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({}, ["clip0", "clip1", "clip2", "broken0", "broken1"]),
        ({"words": "STREET snow"}, ["clip1"]),
        ({"status": "failed"}, ["broken0", "broken1"]),
        ({"status": "warnings"}, ["clip1"]),
        ({"control": "depth"}, ["clip1"]),
        ({"seed": "3", "order": "time"}, ["clip2", "clip0"]),
        ({"seed": "3, 12", "order": "seed"}, ["clip0", "clip2", "clip1"]),
        ({"order": "failed"}, ["broken0", "broken1", "clip1", "clip0", "clip2"]),
        ({"order": "name"}, ["broken0", "broken1", "clip0", "clip1", "clip2"]),
        ({"seed": "1"}, []),
    ],
)
def test_choices_narrow_down_and_sort_and_a_link_shows_the_same(tab, run, values, names):
    tab.open(run)
    choose(tab, **values)
    link = tab.value("location.href")
    for _ in range(2):
        assert tab.value(NAMES) == names
        assert tab.value("document.querySelector('.shown').textContent") == (
            "5 clips" if len(names) == 5 else f"{len(names)} of 5 clips"
        )
        tab.open(str(link))
    assert tab.value("document.querySelector('main > .empty').checkVisibility()") == (not names)
    if not names:
        tab.click("main > .empty .clear")
        assert tab.value(f"{NAMES}.length") == 5
        assert tab.value("location.href") == run


def test_a_link_leads_to_its_clip_even_where_a_filter_hides_it(tab, run):
    tab.open(f"{run}#?status=failed")
    assert not tab.value("document.getElementById('clip2').checkVisibility()")
    tab.value("location.hash = '#clip2'")
    in_sight = "((top) => top >= 0 && top < 200)(document.getElementById('clip2').getBoundingClientRect().top)"
    tab.wait_for(in_sight)
    assert tab.value("document.querySelector('.looked-at').id") == "clip2"
    assert tab.value("document.activeElement.id") == "clip2"
    assert "hidden clip2" in str(tab.value("told.textContent"))
    tab.open(f"{run}#row7")
    assert tab.value("told.textContent") == "row7 is not on this page."


def test_variants_stand_beside_their_input_and_play_in_step(tab, run):
    tab.open(run)
    choose(tab, variants="on")
    groups = (
        "[...document.querySelectorAll('.group')].map((one) => [...one.querySelectorAll('.clip')].map(({ id }) => id))"
    )
    assert tab.value(groups) == [["clip0", "clip1"]]
    assert tab.value("document.querySelector('.group h2').innerText") == "2 variants of one input"
    told = "document.querySelector('#{} .differences').innerText.replace(/\\s+/g, ' ')"
    assert tab.value(told.format("clip0")) == "controls edge 0.5 seed 3 prompt … rain."
    assert tab.value(told.format("clip1")) == "controls edge 0.5, depth 0.25 seed 12 prompt … snow."
    videos = "[...document.querySelectorAll('.group video')]"
    tab.wait_for(f"{videos}.length === 5")  # the input once, and to compare in each; no controls
    tab.wait_for(f"{videos}.every((video) => !video.paused && video.currentTime > 0.2)")
    assert tab.value(f"(t => Math.max(...t) - Math.min(...t))({videos}.map((one) => one.currentTime))") < 0.3
    tab.click(".group > .transport .play")
    tab.wait_for(f"{videos}.every((video) => video.paused)")
    tab.value("form.querySelector('[name=variants]').click()")
    assert tab.value("[document.querySelectorAll('.group').length, clips[0].card.checkVisibility()]") == [0, True]


def test_a_thousand_clips_stay_light(tab, tmp_path):
    others = [{"video_path": f"/recordings/{number}.mp4"} for number in range(800)]
    folder = make_run(tmp_path / "run", [{}] * 200 + others, failed=20)
    address = Path(write_gallery(str(folder))).as_uri()
    held = "document.querySelectorAll('video').length"
    for view, far in (("", 900), ("#?variants=on", 190)):
        tab.open(f"{address}{view}")
        for index in (far, 0):
            tab.value(f"clips[{index}].card.scrollIntoView()")
            loaded = f"clips[{index}].media.playable()"
            tab.wait_for(f"{loaded}.length && {loaded}.every((video) => video.readyState >= 2)")
            tab.wait_for(f"{held} < 60")
        assert not tab.value(f"clips[{far}].media.playable().length")
    choose(tab, words="CLIP77")
    assert tab.value(f"{NAMES}.length") == 11  # clip77 and clip770 to clip779


def test_nothing_is_wider_than_a_phone(tab, run):
    tab.resize(360, 740)
    for view in ("", "#?variants=on"):
        tab.open(f"{run}{view}")
        tab.click(".narrow")
        assert tab.value("form.checkVisibility()")
        assert tab.value("document.documentElement.scrollWidth") == 360
    tab.resize(1200, 900)
