"""The recipes of thunder_policy/FRAMEWORKS.md, run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "thunder_policy" / "FRAMEWORKS.md"
# The packages that a block needs, beside the dependencies, stand after the language.
RECIPE = re.compile(r"^```python *(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RECIPES: list[tuple[str, str]] = RECIPE.findall(PAGE.read_text(encoding="utf-8"))
PACKAGES = [*dict.fromkeys(package for package, _ in RECIPES if package)]


def run(package: str = "") -> dict[str, Any]:
    """Run the blocks that need one package, after those that need none; return the names.

    Where it is not installed, the test is skipped, and says so.
    """
    if package:
        pytest.importorskip(package, exc_type=ImportError)
    names: dict[str, Any] = {"__name__": "recipes"}
    for needed, code in RECIPES:
        if needed in ("", package):
            exec(compile(code, PAGE.name, "exec", dont_inherit=True), names)
    return names
