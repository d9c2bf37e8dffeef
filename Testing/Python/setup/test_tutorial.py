"""The tutorial names controls, keys and files as the panel and the program have them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

ELSEWHERE = {"Sample Data", "Quality Sentinel", "CTLiverSegmented", "TotalSegmentator"}
"""Bold words that are no controls of the panel: modules and extensions of Slicer, and the sample."""


@pytest.fixture(scope="module")
def tutorial(repository) -> str:
    """The text of the tutorial, each paragraph on one line."""
    return (repository / "docs" / "TUTORIAL.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def panel(repository) -> set[str]:
    """The texts that the panel shows, as they are in its .ui file."""
    root = ET.parse(repository / "QualitySentinel" / "Resources" / "UI" / "QualitySentinel.ui").getroot()
    return {(element.text or "").rstrip(":") for element in root.iter("string")}


def test_every_control_it_names_is_in_the_panel(tutorial, panel):
    named = set(re.findall(r"\*\*([^*]+)\*\*", tutorial)) - ELSEWHERE
    assert len(named) > 20
    assert named - panel == set()


def test_every_key_it_names_is_in_a_tooltip_of_the_panel(tutorial, panel):
    rows = [row for row in re.findall(r"^\| (.+?) \| (.+?) \|", tutorial, re.M) if "**" in row[1]]
    assert len(rows) == 7
    for keys, buttons in rows:
        for key in re.split(r", | or ", keys):
            assert any(re.search(rf"\((?:[^)]*, or )?{re.escape(key)}[,)]", text) for text in panel), (key, buttons)


def test_every_section_of_the_panel_is_in_it(repository, tutorial):
    root = ET.parse(repository / "QualitySentinel" / "Resources" / "UI" / "QualitySentinel.ui").getroot()
    buttons = root.iterfind(".//widget[@class='ctkCollapsibleButton']/property[@name='text']/string")
    sections = [element.text for element in buttons]
    assert len(sections) >= 5
    for section in sections:
        assert f"**{section}**" in tutorial, section


def test_the_documents_it_leads_to_exist(repository, tutorial):
    targets = [t.partition("#")[0] for t in re.findall(r"(?<!!)\[[^\]]*\]\(([^)]+)\)", tutorial) if "://" not in t]
    assert targets
    missing = [t for t in targets if not (repository / "docs" / t).is_file()]
    assert missing == []
