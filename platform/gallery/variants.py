"""Clips of one run that are made from one input, and what tells them apart: the seed, the words, weights, steps."""

import posixpath
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from airshower.configs.multiview_spec import HDMAP
from airshower.platform.gallery.cards import Card

_WORDS = {"num_steps": "steps", "negative_prompt": "avoid"}  # others as the field, with spaces
_TOLD_ELSEWHERE = ("name", "output_dir", "video_path", "input_path", "prompt", "prompt_path", "control_weight")
_NOT_THERE = "none"


def with_variants(cards: Sequence[Card]) -> list[Card]:
    """The cards, those made from the same files numbered as a group and told apart."""
    found = list(cards)
    places: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, card in enumerate(cards):
        if card.input_files:
            places[card.input_files].append(place)
    groups = [group for group in places.values() if len(group) > 1]
    for number, group in enumerate(groups):
        for place, said in zip(group, differences([cards[place] for place in group]), strict=True):
            found[place] = replace(found[place], group=number, differences=said)
    return found


def differences(cards: Sequence[Card]) -> list[tuple[tuple[str, str], ...]]:
    """For each card (name, value) of what is not the same in all of them, of prompts the words that differ."""
    facts = _facts(cards)
    names = dict.fromkeys(name for some in facts for name in some)
    apart = [name for name in names if len({some.get(name, _NOT_THERE) for some in facts}) > 1]
    told = [tuple((name, some.get(name, _NOT_THERE)) for name in apart) for some in facts]
    if len({card.prompt for card in cards}) == 1:
        return told
    words = _what_differs([card.prompt for card in cards])
    return [(*said, ("prompt", some)) for said, some in zip(told, words, strict=True)]


def _facts(cards: Sequence[Card]) -> list[dict[str, str]]:
    """Each row in the page's words: its controls in one, then a setting each, of controls that all have, too."""
    shared = [name for name in cards[0].row if all(_is_part(card.row.get(name)) for card in cards)]
    return [{**_controls(card), **_settings(card.row, shared)} for card in cards]


def _controls(card: Card) -> dict[str, str]:
    return {"controls": ", ".join(f"{kind} {_weight(card.row, kind):g}" for kind in card.controls)}


def _settings(row: Mapping[str, Any], shared: Iterable[str]) -> dict[str, str]:
    parts = {f"{name} {key}": value for name in shared for key, value in row[name].items() if key != "control_weight"}
    own = {name: value for name, value in row.items() if not _is_part(value) and name not in _TOLD_ELSEWHERE}
    return {_words(name): _short(name, value) for name, value in (own | parts).items()}


def _is_part(said: object) -> bool:
    return isinstance(said, Mapping)


def _weight(row: Mapping[str, Any], kind: str) -> float:
    said = row if kind == HDMAP else row.get(kind) or {}
    return float(said.get("control_weight", 1))


def _words(name: str) -> str:
    return _WORDS.get(name, name.replace("_", " "))


def _short(name: str, value: object) -> str:
    """A value as one says it; of a file's path its end."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return posixpath.basename(value) if name.endswith("_path") and isinstance(value, str) else str(value)


def _what_differs(prompts: Sequence[str]) -> list[str]:
    """The prompts without the words that all of them begin and end with."""
    words = [prompt.split() for prompt in prompts]
    shortest = min(map(len, words))
    begin = _alike(zip(*words, strict=False))
    end = min(_alike(zip(*(reversed(some) for some in words), strict=False)), shortest - begin)
    return [_cut(some, begin, end) for some in words]


def _alike(columns: Iterable[tuple[str, ...]]) -> int:
    count = 0
    for column in columns:
        if len(set(column)) > 1:
            break
        count += 1
    return count


def _cut(words: Sequence[str], begin: int, end: int) -> str:
    kept = " ".join(words[begin : len(words) - end])
    return f"{'… ' if begin else ''}{kept}{' …' if end else ''}".strip()
