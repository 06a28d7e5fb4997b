"""Every `airshower` and `make` command in README.md and docs/ exists, with its options, arguments and files.

Running them is `python -m tests.campaigns.readme`.
"""

import re

import pytest
import typer

from airshower.platform.cli import app
from tests.documented_commands import ROOT, blocks, pages

COMMANDS = [
    (f"{block.page}:{block.line}", words)
    for page in pages()
    for block in blocks(page)
    for words in block.commands()
    if words[0] in ("airshower", "bin/airshower", "make")
]


@pytest.mark.parametrize(("place", "words"), COMMANDS, ids=[" ".join(words)[:70] for _, words in COMMANDS])
def test_a_documented_command_exists(place, words):
    program, *arguments = words
    if program == "make":
        targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert set(arguments) <= targets, place
        return
    command = typer.main.get_command(app)
    context = typer.Context(command)
    while hasattr(command, "commands"):
        assert arguments[0] in command.commands, f"{place}: airshower has no {arguments[0]}"
        context = typer.Context(command.commands[arguments[0]], parent=context, info_name=arguments[0])
        command, arguments = command.commands[arguments[0]], arguments[1:]
    for end in (">", "|", "&"):
        arguments = arguments[: arguments.index(end)] if end in arguments else arguments
    if "--help" not in arguments:
        command.make_context("airshower", list(arguments), parent=context)  # raises where a flag is none


@pytest.mark.parametrize("page", pages())
def test_files_of_the_repository_that_a_page_names_are_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    linked = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    missing = [path for path in linked if not (ROOT / page).parent.joinpath(path).exists()]
    named = re.findall(r"(?<![\w/])(?:configs|tests|models|docs|pipelines|platform|actors|cluster)/[\w./-]+\.\w+", text)
    missing += [path for path in named if not (ROOT / path).exists()]
    assert not missing


def test_there_are_commands():
    assert len(COMMANDS) > 40
