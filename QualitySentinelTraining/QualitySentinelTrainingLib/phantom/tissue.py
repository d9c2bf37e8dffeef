"""Hounsfield units of the tissues by contrast phase, drawn once per phantom (values from common radiology tables)."""

from __future__ import annotations

import numpy as np

_RANGES = {  # tissue: (no contrast), (arterial), (venous)
    "muscle": ((40, 60), (45, 65), (50, 70)),
    "fat": ((-115, -90), (-115, -90), (-112, -88)),
    "liver": ((45, 68), (55, 85), (90, 125)),
    "spleen": ((42, 55), (85, 140), (100, 135)),
    "kidney": ((28, 40), (110, 200), (140, 210)),
    "medulla": ((25, 38), (50, 90), (120, 200)),
    "pancreas": ((30, 48), (80, 120), (65, 100)),
    "gut wall": ((30, 50), (60, 100), (60, 95)),
    "aorta": ((35, 48), (220, 380), (120, 170)),
    "vein": ((35, 48), (50, 110), (110, 165)),
    "heart": ((38, 50), (90, 130), (90, 125)),
    "blood": ((36, 48), (180, 330), (120, 165)),
    "adrenal": ((15, 40), (50, 85), (50, 85)),
    "thyroid": ((85, 120), (130, 190), (120, 170)),
    "lung": ((-890, -800), (-890, -800), (-890, -800)),
    "spongy bone": ((110, 260), (120, 270), (120, 270)),
    "cortical bone": ((450, 950), (450, 950), (450, 950)),
    "bile": ((2, 18), (2, 18), (2, 18)),
    "urine": ((0, 14), (0, 14), (0, 60)),
    "gut content": ((5, 40), (5, 40), (5, 40)),
    "prostate": ((35, 48), (45, 75), (50, 85)),
    "marrow canal": ((22, 36), (22, 36), (24, 40)),
}
_PHASES = ("none", "arterial", "venous")


def draw_tissues(rng: np.random.Generator, phase: str) -> dict[str, float]:
    """HU of each tissue in this patient and contrast ``phase``."""
    column = _PHASES.index(phase)
    return {name: float(rng.uniform(*ranges[column])) for name, ranges in _RANGES.items()}
