"""Write what stands below "The laws" on their page: ``python -m benchmarks.law_pages``."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill

from thunder_policy.conformance import INHERITED_FROM_TORCH, LAWS, Law
from thunder_policy.conformance.catalogue import PRELUDE, WEIGHTS, Weight, entry_of

PAGE = Path(__file__).parents[1] / "thunder_policy" / "conformance" / "README.md"
TITLE = "## The laws\n"

START = """
<!-- What follows is written by python -m benchmarks.law_pages, of the laws and their catalogue. -->

There are {count}. By how much it matters that one is broken:

{weights}

{inherited}

The examples vary a sound policy.

```python
{prelude}```
"""

SECTION = """
### {name}

{sentence}

{note}

```python
{broken}```

{mend}
"""


def page(before: str) -> str:
    """Return the page, of what it was before."""
    weights = [f"- **{sentence(name)}**: {what}. {links(name)}" for name, what in WEIGHTS.items()]
    inherited = ", ".join(f"[{law}](#{law})" for law in INHERITED_FROM_TORCH)
    start = START.format(
        count=len(LAWS),
        weights="\n".join(wrapped(line, "  ") for line in weights),
        inherited=wrapped(f"Torch's base class breaks {inherited}."),
        prelude=PRELUDE,
    )
    return before.partition(TITLE)[0] + TITLE + start + "".join(map(section, LAWS.values()))


def links(weight: Weight) -> str:
    """Link the laws of a weight."""
    names = [name for name in LAWS if entry_of(name).weight == weight]
    return ", ".join(f"[{name}](#{name})" for name in names)


def section(law: Law) -> str:
    """Return the section of a law."""
    entry, inherited = entry_of(law.name), INHERITED_FROM_TORCH.get(law.name)
    note = f"{sentence(entry.weight)}; since {entry.since}. It guards against: {law.trap}."
    note += f" Inherited: {inherited}." if inherited else ""
    return SECTION.format(
        name=law.name,
        sentence=wrapped(law.sentence),
        note=wrapped(note),
        broken=entry.broken,
        mend=wrapped(f"**To mend it.** {entry.mend}"),
    )


def sentence(text: str) -> str:
    """Begin a text with a capital."""
    return text[0].upper() + text[1:]


def wrapped(text: str, indent: str = "") -> str:
    """Break a text into lines."""
    return fill(text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
