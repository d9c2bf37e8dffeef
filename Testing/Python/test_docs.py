"""The pages that a reader follows lead somewhere."""

from __future__ import annotations

import re

import pytest

LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
PAGES = ("*.md", "docs/*.md", "QualitySentinel/Resources/Models/*.md")


@pytest.mark.parametrize("pattern", PAGES)
def test_links_and_pictures_of_the_pages_exist(repository, pattern):
    pages = sorted(repository.glob(pattern))
    assert pages
    broken = [
        f"{page.relative_to(repository)}: {target}"
        for page in pages
        for target in LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert not broken
