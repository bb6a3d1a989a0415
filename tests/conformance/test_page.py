"""The page of the laws says what they and their catalogue say; test_pages.py runs its programs."""

from __future__ import annotations

import re

from benchmarks.law_pages import PAGE, page
from thunder_policy.conformance import LAW_SETS, LAWS

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_page_is_written_of_the_laws() -> None:
    assert page(TEXT) == TEXT, "write it anew: python -m benchmarks.law_pages"


def test_each_law_has_a_section_and_each_link_a_target() -> None:
    titles = re.findall(r"^##+ (.+)$", TEXT, re.MULTILINE)
    assert titles[-len(LAWS) :] == [*LAWS]
    anchors = {title.lower().replace(" ", "-").replace("'", "") for title in titles}
    assert {*re.findall(r"\]\(#(.+?)\)", TEXT)} <= anchors


def test_the_page_names_the_sets() -> None:
    assert f"The sets are {' and '.join(LAW_SETS)};" in TEXT
