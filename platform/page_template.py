"""What the pages have together: how templates are filled in, the beginning of their heads, and the style sheet."""

from pathlib import Path

import jinja2
from markupsafe import Markup

_SHARED = Path(__file__).parent


def page_environment(folder: Path) -> jinja2.Environment:
    """For the templates of a page's folder; everything that is filled in is escaped, and nothing may be missing."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, _SHARED]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page_style(folder: Path, *names: str) -> Markup:
    """The pages' common style and a page's own sheets, in this order."""
    sheets = (_SHARED / "page.css", *(folder / name for name in names))
    return Markup("".join(sheet.read_text(encoding="utf-8") for sheet in sheets))
