"""Terminology of a segment: read from Slicer's segment tags or DICOM code items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TERMINOLOGY_TAG = "TerminologyEntry"
"""Segment tag that holds the serialized terminology (``vtkSegment::GetTerminologyEntryTagName``)."""

_DICOM_ITEMS = (
    "SegmentedPropertyCategory",
    "SegmentedPropertyType",
    "SegmentedPropertyTypeModifier",
    "AnatomicRegion",
    "AnatomicRegionModifier",
)
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

    Args:
        tags: one of

            - Slicer segment tags, ``{"TerminologyEntry": "context~SCT^123037004^Anatomical Structure~..."}``;
            - header fields of a ``.seg.nrrd``, where a value holds ``TerminologyEntry:context~...|other tags``;
            - DICOM items ``SegmentedPropertyCategory``, ``SegmentedPropertyType``, ``SegmentedPropertyTypeModifier``,
              ``AnatomicRegion``, ``AnatomicRegionModifier`` (``CodeSequence`` or ``Sequence`` may follow), each
              ``"SCT^64033007^Kidney"``, ``("SCT", "64033007", ...)`` or a mapping with ``CodingSchemeDesignator`` and
              ``CodeValue``.
    """
    if not tags:
        return None
    serialized = tags.get(TERMINOLOGY_TAG)
    if serialized is None:
        for value in tags.values():
            if isinstance(value, str) and TERMINOLOGY_TAG + ":" in value:
                serialized = value.partition(TERMINOLOGY_TAG + ":")[2]
                break
    if isinstance(serialized, str):
        return _deserialized(serialized.partition("|")[0])
    codes = [_dicom_item(tags, item) for item in _DICOM_ITEMS]
    return Terminology(*codes) if codes[1][1] else None


def _deserialized(text: str) -> Terminology | None:
    """Slicer's form: context~category~type~modifier~region context~region~region modifier, codes as ``a^b^c``."""
    parts = text.split("~")
    if len(parts) < 3:
        return None
    parts += [""] * (7 - len(parts))
    codes = [_code(parts[at]) for at in (1, 2, 3, 5, 6)]
    return Terminology(*codes) if codes[1][1] else None


def _dicom_item(tags: Mapping, item: str) -> CodePair:
    for ending in ("", "CodeSequence", "Sequence"):
        if item + ending in tags:
            return _code(tags[item + ending])
    return ("", "")


def _code(value: object) -> CodePair:
    if isinstance(value, Mapping):
        parts = [value.get("CodingSchemeDesignator", ""), value.get("CodeValue", "")]
    elif isinstance(value, str):
        parts = value.split("^")
    elif isinstance(value, (tuple, list)):
        parts = list(value)
    else:
        parts = []
    if len(parts) < 2 or not parts[1]:
        return ("", "")
    scheme = str(parts[0]).strip()
    return (_SCHEMES.get(scheme, scheme), str(parts[1]).strip())
