"""The pages that a reader follows lead somewhere."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest

from QualitySentinelLib.commands.main import build_parser

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


def test_every_message_that_troubleshooting_quotes_is_one_of_the_programs(repository):
    section = (repository / "README.md").read_text(encoding="utf-8").split("## Troubleshooting")[1].split("\n## ")[0]
    quoted = set(re.findall(r'"([^"]+)"', section))
    assert len(quoted) > 4
    texts = [
        node.value
        for path in (repository / "QualitySentinel").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert not {message for message in quoted if not any(message in text for text in texts)}


def test_the_package_is_not_said_to_come_from_an_index_that_it_is_not_on(repository):
    pages = [page for pattern in PAGES for page in repository.glob(pattern)]
    assert not [page.name for page in pages if re.search(r"pip install .quality-sentinel", page.read_text("utf-8"))]


def test_what_the_pages_tell_the_reader_to_run_is_there(repository):
    commands = next(action for action in build_parser()._actions if action.dest == "command").choices
    targets = re.findall(r"^([a-z-]+):", (repository / "Makefile").read_text("utf-8"), re.MULTILINE)
    wrong, checked = [], 0
    for page in (page for pattern in PAGES for page in repository.glob(pattern) if page.name != "CHANGELOG.md"):
        text = re.sub(r"\\\n\s*", " ", page.read_text("utf-8"))
        for name, given in re.findall(r"(?:`|quality-sentinel )([a-z]+[a-z-]*) ([^\n`|]*)", text):
            options = re.findall(r"(?<![\w-])--[a-z][a-z-]*", given) if name in commands else ()
            wrong += [f"{page.name}: {name} {o}" for o in options if o not in commands[name]._option_string_actions]
            checked += len(options)
        scripts = re.findall(r"(?:QualitySentinelTraining/Research|Testing/Benchmarks)/[\w/]+\.(?:py|toml)", text)
        wrong += [f"{page.name}: {script}" for script in scripts if not (repository / script).exists()]
        wrong += [f"{page.name}: make {t}" for t in re.findall(r"(?:^|`)make ([a-z-]+)", text) if t not in targets]
    assert checked > 100 and not wrong


@pytest.mark.parametrize("pattern", PAGES)
def test_what_the_pages_import_is_there(repository, pattern):
    for page in repository.glob(pattern):
        imports = re.findall(r"from (Quality\w+Lib[\w.]*) import ([\w, ]+)", page.read_text("utf-8"))
        for module, name in ((module, name) for module, names in imports for name in names.split(", ")):
            source = Path(importlib.util.find_spec(module).origin).read_text("utf-8")
            assert re.search(rf"\b{name}\b", source), f"{page.name}: {module} has no {name}"
