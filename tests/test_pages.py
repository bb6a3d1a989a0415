"""Every page of the repository: its examples run, its links and pictures lead somewhere."""

from __future__ import annotations

import re
import shlex
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from pages import (
    PAGES,
    PYTHON_BLOCK,
    README,
    RECIPES,
    ROOT,
    TEXT,
    before_the_recipes,
    blocks_of,
    run,
)

from thunder_policy import cli

CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<!\^)\]\(([^)\s]+)\)")
PICTURE = re.compile(r"!\[[^]]+\]\(([^)]+)\)")
JOBS = (
    "Step decay",
    "Warm-up and cosine, by batch",
    "One lr for the head and one for the body",
    "Resume",
    "Change the schedule in the middle of a run",
    "Start at epoch k",
    "A policy of your own",
    "Unfreeze",
    "Weight decay, momentum",
    "Look before training",
    "Lightning, Trainer, accelerate",
)


# The examples


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return a module for a page's code, in an empty folder; what it defines can be pickled."""
    monkeypatch.chdir(tmp_path)
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    return module


# Ignite imports what torch deprecates.
IGNITE = pytest.mark.filterwarnings(r"ignore:`torch\.jit\.\w+` is deprecated:DeprecationWarning")


@IGNITE
@pytest.mark.parametrize("page", [page for page in PAGES if "```python" in TEXT[page]])
def test_the_blocks_of_a_page_run_top_to_bottom(page: str, module: ModuleType) -> None:
    # A block that names the package which it needs is run by that package's test in integrations/.
    named = re.findall(r"^```python \w+$", TEXT[page], re.MULTILINE)
    assert not named or page == "thunder_policy/FRAMEWORKS.md"
    assert len(PYTHON_BLOCK.findall(TEXT[page])) + len(named) == TEXT[page].count("```python")
    run(page, PYTHON_BLOCK.finditer(TEXT[page]), vars(module))


# What is shown ends at the end of the block, or with "…" where the rest is left out.
COMMAND = re.compile(r"^\$ thunder-policy (.+)\n((?:(?!```|\$ ).*\n)+)", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_what_the_command_prints_is_what_is_shown(
    page: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for arguments, shown in COMMAND.findall(TEXT[page]):
        cli.main(shlex.split(arguments))
        printed = "\n".join(line.rstrip() for line in capsys.readouterr().out.splitlines()).strip()
        whole, mark, _ = shown.strip().partition("\n…")
        assert printed.startswith(whole) if mark else printed == whole


@IGNITE
@pytest.mark.parametrize("job", RECIPES)
def test_a_recipe_needs_only_the_code_above_all_recipes(job: str, module: ModuleType) -> None:
    assert blocks_of(job)
    run("README.md", before_the_recipes() + blocks_of(job), vars(module))


def test_the_readme_is_short_and_has_a_recipe_for_each_job() -> None:
    assert tuple(RECIPES) == JOBS
    assert len(README.splitlines()) <= 250


def test_nothing_promises_what_is_on_no_index() -> None:
    sources = (ROOT / "thunder_policy").rglob("*.py")
    for page, text in [*TEXT.items(), *((file, file.read_text("utf-8")) for file in sources)]:
        assert not re.search(r"pip install [\"']?thunder[-_]policy", text), page


# The links


def slugs(page: str) -> set[str]:
    """Return the anchors that the headings of a page have on GitHub and on an index."""
    text = re.sub(r"^```.*?^```$", "", TEXT[page], flags=re.DOTALL | re.MULTILINE)
    seen: Counter[str] = Counter()
    anchors = set()
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        anchors.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return anchors


def links(page: str) -> Iterator[tuple[str, str]]:
    """Yield the file and the anchor of each link of a page to a page or a picture."""
    for link in LINK.findall(CODE.sub("", TEXT[page])):
        if not re.match(r"\w+:", link):
            file, _, anchor = link.partition("#")
            target = (ROOT / page).parent / file if file else ROOT / page
            yield target.resolve().relative_to(ROOT).as_posix(), anchor


@pytest.mark.parametrize("page", PAGES)
def test_the_links_of_a_page_lead_somewhere(page: str) -> None:
    for target, anchor in links(page):
        assert (ROOT / target).exists(), target
        assert not anchor or anchor in slugs(target), f"{target}#{anchor}"


def test_the_readme_leads_to_every_page() -> None:
    found = {"README.md"}
    todo = ["README.md"]
    while todo:
        new = {target for target, _ in links(todo.pop())} & {*PAGES} - found
        found |= new
        todo += new
    assert found == {*PAGES}


def test_each_picture_is_shown_and_each_that_is_shown_has_words_for_it() -> None:
    shown = {target for page in PAGES for target, _ in links(page) if target.endswith(".png")}
    kept = {f"benchmarks/pictures/{file.name}" for file in (ROOT / "benchmarks/pictures").iterdir()}
    assert shown == kept
    for page, text in TEXT.items():
        assert len(PICTURE.findall(text)) == text.count("!["), page
