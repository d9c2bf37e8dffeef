"""The CT window that a structure is best judged in: one list for the report, the web review and the panel."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class WindowPreset:
    """A display window."""

    name: str  # as readers know it
    level: float  # HU shown as mid gray
    width: float  # HU from black to white

    @property
    def low(self) -> float:
        """HU shown as black, and all below."""
        return self.level - self.width / 2

    @property
    def high(self) -> float:
        """HU shown as white, and all above."""
        return self.level + self.width / 2


SOFT_TISSUE = WindowPreset("soft tissue", 40, 400)
LUNG = WindowPreset("lung", -600, 1500)
BONE = WindowPreset("bone", 300, 1500)
BRAIN = WindowPreset("brain", 40, 80)
WIDE = WindowPreset("wide", 60, 700)
"""Soft tissue, outlines of the lungs and bone on one picture."""

WINDOW_PRESETS = (SOFT_TISSUE, LUNG, BONE, BRAIN, WIDE)
"""All presets, in the order to offer them."""

_WORDS = (
    (LUNG, r"lungs?|trachea|bronch\w*|airways?"),
    (
        BONE,
        (
            r"vertebra\w*|spine|ribs?|costa|sternum|clavic\w+|scapula|humerus|skull|hips?|sacrum|femur|femoral head|"
            r"tibia|fibula|patella|radius|ulna|pelvis|coccyx|mandible|bones?|cochlea"
        ),
    ),
    (BRAIN, r"brain|brainstem|cerebell\w+|cerebral|hippocampus|temporal lobe|pituitary gland|intracerebral"),
)


def window_of(structure: str | None) -> WindowPreset:
    """The preset for a structure (or, failing that, a segment) of this name; soft tissue unless the name says else.

    Example:
        >>> window_of("lung upper lobe left").name, window_of("Vertebrae_L1").name, window_of(None).name
        ('lung', 'bone', 'soft tissue')
    """
    words = re.sub(r"[\W_]+", " ", structure or "").lower()
    for preset, pattern in _WORDS:
        if re.search(rf"\b(?:{pattern})\b", words):
            return preset
    return SOFT_TISSUE
