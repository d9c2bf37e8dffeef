"""From a segment's name and terminology codes to its structure, or honestly to none.

Nothing is matched by likeness or by part of a name. A name of a paired organ without a side gives the structure without
side ("kidney"), never a guess; a name that only some member of a series could have ("rib 4", "vertebra") gives none or
the whole series.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from .spelling import NOISE, has_gaps, read_name, squeezed
from .structures import Structure, all_structures, structure_named
from .terminology import Terminology, side_of, terminology_of

_SERIES = frozenset({"ribs", "ribs left", "ribs right", "vertebral column"})
"""Structures whose names with a number mean one member of the series, not a numbered copy of the whole."""

_FINDING_WORDS = frozenset(
    "tumor lesion cyst mass cancer carcinoma neoplasm metastasis nodule abscess hematoma hemorrhage thrombus stone "
    "calcification implant stent effusion defect infiltrate".split()
)

_CodeKey = tuple[str, str, str, str, str]


def match_structure(name: str, tags: Mapping | None = None) -> Structure | None:
    """Find the structure a segment shows.

    The terminology code wins over the name where it names a structure we know. The name wins where it only narrows the
    code (code "Kidney" without a side and name "left kidney"; code "Lung" and name "RUL"), and where the code says
    nothing specific ("Tissue", "Organ", "Bone").

    Args:
        name: the segment's name, in about any spelling.
        tags: the segment's tags; see :func:`~.terminology.terminology_of`.

    Returns:
        The structure, or ``None`` when it is unknown.
    """
    by_name = _structure_of_name(name or "")
    terminology = terminology_of(tags)
    if terminology is None:
        return by_name
    by_code = _structure_of_codes(terminology)
    if by_code is None:
        # A mass or a needle that is called "liver" lies in or near the liver: it does not show the liver.
        misnamed = by_name is not None and by_name.kind == "anatomy" and terminology.kind != "anatomy"
        return None if misnamed else by_name
    if by_name is None:
        # A segment coded "Liver" but called "liver metastasis 3" is most likely not the whole liver.
        doubtful = by_code.kind == "anatomy" and not _FINDING_WORDS.isdisjoint(read_name(name or "").words)
        return None if doubtful else by_code
    return by_name if by_code.name in _wider(by_name) else by_code


def _structure_of_name(name: str) -> Structure | None:
    spelling = read_name(name)
    if spelling.contradictory or not spelling.words:
        return None
    exact = _names().get((frozenset(spelling.words), spelling.side))
    if exact is None and not has_gaps(name):  # with gaps, "rib 1_2 left" would read as the twelfth rib
        exact = _squeezed_names().get(squeezed(name))
    if exact is not None:
        return exact
    for words, numbered in _without_decoration(spelling.words):
        structure = _names().get((frozenset(words), spelling.side))
        if structure is not None:
            return None if numbered and structure.name in _SERIES else structure
    return None


def _without_decoration(words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], bool]]:
    """The name without words of no meaning and without the numbers of copies ("liver_1", "liver copy 2")."""
    numbered = False
    for _ in range(3):
        kept = tuple(word for word in words if word not in NOISE)
        if kept:
            yield kept, numbered
        if not words or not words[-1].isdigit():
            return
        if any(word.isdigit() for word in words[:-1]) and "copy" not in words:
            return  # "rib 1-2 left" may well be two ribs
        words, numbered = words[:-1], True


def _structure_of_codes(terminology: Terminology) -> Structure | None:
    scheme, value = terminology.type
    region = terminology.region[1]
    modifier, region_modifier = terminology.type_modifier[1], terminology.region_modifier[1]
    side, region_side = side_of(modifier), side_of(region_modifier)
    codes = _codes()
    exact = codes.get((scheme, value, _as_key(modifier), region, _as_key(region_modifier)))
    if exact is not None:
        return exact
    if terminology.kind != "anatomy":
        return None
    # Slicer keeps the anatomic region beside the type: with an organ as type it adds nothing but, at times, the side.
    for modifier_key in dict.fromkeys((side or region_side or _as_key(modifier), "")):
        found = codes.get((scheme, value, modifier_key, "", ""))
        if found is not None and (side or region_side or "") in ("", found.side):
            return found
    return None


def _as_key(modifier: str) -> str:
    side = side_of(modifier)
    return modifier if side is None else side


def _wider(structure: Structure) -> set[str]:
    """Names of all structures this one is part of, directly or not."""
    found: set[str] = set()
    waiting = list(structure.part_of)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(structure_named(name).part_of)
    return found


def _spellings(structure: Structure) -> Iterator[str]:
    yield structure.name
    yield from structure.synonyms
    yield from filter(None, (structure.totalsegmentator_v1, structure.totalsegmentator_v2))


@cache
def _names() -> dict[tuple[frozenset[str], str], Structure]:
    """Structures by the words and side of their names; the first structure in the table keeps a shared name."""
    found: dict[tuple[frozenset[str], str], Structure] = {}
    for structure in all_structures():
        for text in _spellings(structure):
            spelling = read_name(text)
            found.setdefault((frozenset(spelling.words), spelling.side), structure)
    return found


@cache
def _squeezed_names() -> dict[str, Structure | None]:
    """Structures by their names without gaps, side last or first; ``None`` where two structures share one."""
    found: dict[str, Structure | None] = {}
    for structure in all_structures():
        for text in _spellings(structure):
            bare = squeezed(text)
            forms = {bare}
            side = structure.side
            if side and bare.endswith(side):
                forms.add(side + bare.removesuffix(side))
            for form in forms:
                found[form] = structure if found.get(form, structure) is structure else None
    return found


@cache
def _codes() -> dict[_CodeKey, Structure]:
    found: dict[_CodeKey, Structure] = {}
    for structure in all_structures():
        for code in structure.codes:
            key = (code.scheme, code.value, _as_key(code.modifier), code.region, _as_key(code.region_modifier))
            found.setdefault(key, structure)
    return found
