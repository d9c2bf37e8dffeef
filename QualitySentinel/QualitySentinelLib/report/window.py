"""The CT window a structure is best judged in."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Window:
    """A display window: ``level`` HU is mid grey, ``width`` HU spans black to white."""

    name: str
    width: float
    level: float

    def to_grey(self, hu: np.ndarray) -> np.ndarray:
        """Grey values 0..255, uint8, of an array of HU of any shape."""
        low = self.level - self.width / 2
        grey = (np.asarray(hu, dtype=np.float32) - low) * (255.0 / self.width)
        return np.clip(np.nan_to_num(grey), 0, 255).astype(np.uint8)


SOFT_TISSUE = Window("soft tissue", 400, 40)
LUNG = Window("lung", 1500, -600)
BONE = Window("bone", 1500, 300)
BRAIN = Window("brain", 80, 40)

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


def window_for(name: str | None) -> Window:
    """The window for a structure (or, failing that, a segment) of this name; soft tissue unless the name says else.

    Example:
        >>> window_for("lung upper lobe left").name, window_for("Vertebrae_L1").name, window_for(None).name
        ('lung', 'bone', 'soft tissue')
    """
    words = re.sub(r"[\W_]+", " ", name or "").lower()
    for window, pattern in _WORDS:
        if re.search(rf"\b(?:{pattern})\b", words):
            return window
    return SOFT_TISSUE
