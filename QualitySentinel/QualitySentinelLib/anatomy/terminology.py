"""Terminology of a segment: read from Slicer's segment tags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TERMINOLOGY_TAG = "TerminologyEntry"
"""Segment tag that holds the serialized terminology (``vtkSegment::GetTerminologyEntryTagName``)."""

_SIDES = {"7771000": "left", "G-A101": "left", "24028007": "right", "G-A100": "right"}
_BILATERAL = {"51440002", "G-A102"}
_NOT_ANATOMY = {
    "49755003": "finding", "M-01000": "finding",  # morphologically altered structure
    "260787004": "object", "A-00004": "object",  # physical object
    "91720002": "substance", "T-D0080": "substance",  # body substance
}  # fmt: skip
_SCHEMES = {"SNM3": "SRT", "99SDM": "SRT", "SCT": "SCT", "SRT": "SRT"}  # PS3.16 table 8-1: older names of SRT

CodePair = tuple[str, str]
"""Coding scheme designator and code value; both empty when there is no code."""


@dataclass(frozen=True)
class Terminology:
    """The codes of one segment (DICOM PS3.3 C.8.20.4), as pairs of scheme and value."""

    category: CodePair
    type: CodePair
    type_modifier: CodePair = ("", "")
    region: CodePair = ("", "")
    region_modifier: CodePair = ("", "")

    @property
    def kind(self) -> str:
        """``anatomy`` (also tissue, and categories we do not know), ``finding``, ``object`` or ``substance``."""
        return _NOT_ANATOMY.get(self.category[1], "anatomy")


def side_of(modifier: str) -> str | None:
    """``left``, ``right``, empty for both or none, ``None`` for a modifier that is not a side."""
    return "" if not modifier or modifier in _BILATERAL else _SIDES.get(modifier)


def terminology_of(tags: Mapping | None) -> Terminology | None:
    """Terminology in a segment's tags; ``None`` when there is none or it cannot be read.

    ``{"TerminologyEntry": "context~SCT^123037004^Anatomical Structure~..."}`` has context, category, type, modifier,
    region context, region, region modifier. Codes of DICOM objects become such a tag when they are read.
    """
    parts = str((tags or {}).get(TERMINOLOGY_TAG) or "").split("~")
    if len(parts) < 3:
        return None
    parts += [""] * (7 - len(parts))
    codes = [_code(parts[at]) for at in (1, 2, 3, 5, 6)]
    return Terminology(*codes) if codes[1][1] else None


def _code(text: str) -> CodePair:
    scheme, value = (text.split("^") + [""])[:2]
    scheme = scheme.strip()
    return (_SCHEMES.get(scheme, scheme), value.strip()) if value else ("", "")
