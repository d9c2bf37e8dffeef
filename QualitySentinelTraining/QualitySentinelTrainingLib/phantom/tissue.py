"""Hounsfield units of the tissues by contrast phase, drawn once per phantom (``tissues.toml``)."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np

PHASES = ("none", "arterial", "venous")
_RANGES = tomllib.loads(Path(__file__).with_name("tissues.toml").read_text(encoding="utf-8"))


def draw_tissues(rng: np.random.Generator, phase: str) -> dict[str, float]:
    """HU of each tissue in this patient and contrast ``phase``."""
    return {name: float(rng.uniform(*ranges[PHASES.index(phase)])) for name, ranges in _RANGES.items()}
