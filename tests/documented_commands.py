"""The commands of README.md and docs/: what stands in their shell blocks, as it is pasted."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Block:
    """One shell block of a page."""

    page: str
    line: int
    text: str

    def commands(self) -> Iterator[list[str]]:
        """Its simple commands, split as a shell would: continued lines are one, comments are none."""
        for line in self.text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words:
                yield words


def blocks(page: str = "README.md") -> list[Block]:
    """The shell blocks of a page, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = _BLOCK.finditer(text)
    return [Block(page=page, line=text.count("\n", 0, one.start()) + 2, text=one[1]) for one in found]


def pages() -> list[str]:
    """All pages that may hold commands, from the repository's root."""
    return ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
