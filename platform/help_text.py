"""Help as it should read: paragraphs that wrap with the terminal, and switches that don't ask for a value."""

import inspect
import re

from typer import Context
from typer.core import TyperCommand, TyperGroup, TyperOption


def make_readable(command: TyperCommand | TyperGroup, parent: Context | None = None) -> None:
    """Changes the help of a command, and of all commands below it."""
    command.help = _unwrapped(command.help)
    context = Context(command, parent=parent, **command.context_settings)  # --help is kept as it is first made
    for parameter in (*command.params, command.get_help_option(context)):
        if isinstance(parameter, TyperOption) and parameter.is_flag:
            parameter.metavar = ""  # Typer writes <bool>, as if a switch took a value
    for below in getattr(command, "commands", {}).values():
        make_readable(below, context)


def _unwrapped(text: str | None) -> str | None:
    """Paragraphs of a docstring as a line each: they were wrapped for those who read the source."""
    return None if text is None else re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.cleandoc(text))
