"""The pages of the repository, and how their code is run."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGES = subprocess.run(
    ["git", "ls-files", "*.md"], cwd=ROOT, check=True, capture_output=True, text=True
).stdout.split()
TEXT = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}

PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)

README = TEXT["README.md"]
_HEADINGS = [*re.finditer(r"^##+ (.+)$", README, re.MULTILINE)]
# Where each recipe of the README begins and ends.
RECIPES = {
    heading[1]: (heading.start(), following.start())
    for heading, following in pairwise(_HEADINGS)
    if heading[0].startswith("### ")
}


def run(page: str, blocks: Iterable[re.Match[str]], namespace: dict[str, Any]) -> None:
    """Run blocks of a page in one namespace."""
    for block in blocks:
        # Blank lines in front make a traceback point at the page's own line.
        source = "\n" * TEXT[page].count("\n", 0, block.start(1)) + block[1]
        exec(compile(source, ROOT / page, "exec"), namespace)


def blocks_of(job: str) -> list[re.Match[str]]:
    """Return the code of one recipe of the README."""
    return [*PYTHON_BLOCK.finditer(README, *RECIPES[job])]


def before_the_recipes() -> list[re.Match[str]]:
    """Return the code of the README that each recipe goes on from."""
    return [*PYTHON_BLOCK.finditer(README, 0, min(start for start, _ in RECIPES.values()))]
