"""Who is trained and who is tested on: folds that never split a person, and whom a model has seen."""

from __future__ import annotations

import re
from collections.abc import Mapping
from zlib import crc32

from QualitySentinelLib.checkpoint import QualityModel

from .model_files import stages_of

FOLDS = 5


def fold_of(sources: Mapping[str, str], folds: int = FOLDS) -> dict[str, int]:
    """Fold of each person, 0 to ``folds`` - 1.

    Persons of one source are numbered in natural order and dealt out in turn, starting at a fold that follows from
    the source's name: it needs no random numbers, every source spreads over the folds, and the folds of a source do
    not depend on which other sources there are.

    Args:
        sources: the data set each person belongs to, by the person's name; what follows a comma (``, synthetic``) does
            not count.
        folds: how many.
    """
    numbers: dict[str, int] = {}
    fold = {}
    for person in sorted(sources, key=_natural):
        source = sources[person].split(",")[0]
        numbers.setdefault(source, crc32(source.encode()))
        fold[person] = numbers[source] % folds
        numbers[source] += 1
    return fold


def persons_seen(training: Mapping) -> set[str]:
    """Everybody a model was trained on, by its metadata, those of the model it started from among them."""
    sources = [source for stage in stages_of(training) for source in stage.get("sources", {}).values()]
    return {person for source in sources for person in source.get("persons", ())}


def seen_by(model: QualityModel) -> set[str]:
    """Everybody a model was trained on, by what its file says."""
    return persons_seen(model.metadata.get("training", {}))


def _natural(name: str) -> list:
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]
