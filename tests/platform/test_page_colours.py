"""Colours of the pages: stages, and parts of a stage, can be told apart by everybody, and everything can be read."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

import airshower.platform.report.page
from airshower.pipelines.events import STAGES
from airshower.platform.report.replica_time import PARTS

FOLDER = Path(airshower.platform.report.page.__file__).parent
STYLE = (FOLDER.parent / "page.css").read_text() + (FOLDER / "report.css").read_text()
THEMES = ("light", "dark")
LEAST_APART = 0.1  # in Oklab, where black and white are 1 apart

# What people without one kind of cone see, on linear RGB (Machado, Oliveira and Fernandes 2009, severity 1).
VISIONS = {
    "full": np.eye(3),
    "protanopia": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
    "deuteranopia": [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
    "tritanopia": [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]],
}
TO_LMS = [[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]]
TO_OKLAB = [[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]


def colours(theme: str) -> dict[str, np.ndarray]:
    """Linear RGB by the name of the custom property."""
    dark = re.findall(r"@media \(prefers-color-scheme: dark\) \{\s*:root \{(.*?)\}", STYLE, re.DOTALL)
    light = re.findall(r"^:root \{(.*?)\}", STYLE, re.DOTALL | re.MULTILINE)
    assert len(dark) == len(light) == 2
    said = " ".join(light if theme == "light" else light + dark)
    return {name: linear(value) for name, value in re.findall(r"--([\w-]+): #([0-9a-f]{6});", said)}


def linear(value: str) -> np.ndarray:
    rgb = np.array([int(value[start : start + 2], 16) for start in (0, 2, 4)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    """As WCAG 2 defines it."""
    darker, lighter = sorted(float(np.dot(colour, [0.2126, 0.7152, 0.0722])) + 0.05 for colour in (one, other))
    return lighter / darker


def oklab(colour: np.ndarray, vision: str) -> np.ndarray:
    seen = np.clip(np.array(VISIONS[vision]) @ colour, 0, 1)
    return np.array(TO_OKLAB) @ np.cbrt(np.array(TO_LMS) @ seen)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("names", [STAGES, PARTS], ids=["stages", "parts"])
def test_what_one_chart_shows_is_told_apart_with_every_kind_of_colour_vision(names, theme):
    found = colours(theme)
    faint = {name: contrast(found[name], found["card"]) for name in names}
    assert {name: ratio for name, ratio in faint.items() if ratio < 3} == {}
    alike = [
        (one, other, vision)
        for one, other in itertools.combinations(names, 2)
        for vision in VISIONS
        if np.linalg.norm(oklab(found[one], vision) - oklab(found[other], vision)) < LEAST_APART
    ]
    assert alike == []


READ_ON = {  # text: what it stands on
    "ink": ("paper", "card"),
    "soft": ("paper", "card", "bad-paper"),
    "accent": ("paper", "card"),
    "bad": ("paper", "bad-paper"),
    "warn": ("warn-paper",),
    "card": ("ink",),
}


@pytest.mark.parametrize("theme", THEMES)
def test_text_and_controls_stand_out_from_what_is_below_them(theme):
    found = colours(theme)
    read = {(text, below): contrast(found[text], found[below]) for text, some in READ_ON.items() for below in some}
    assert {pair: ratio for pair, ratio in read.items() if ratio < 4.5} == {}
    assert min(contrast(found["control"], found[below]) for below in ("paper", "card")) >= 3
