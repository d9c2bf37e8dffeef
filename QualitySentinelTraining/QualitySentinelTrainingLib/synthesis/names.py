"""What the names of structures tell: the side, the kind, and the tissue (``structures.toml``)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ..phantom.scan import PHASES, draw_tissues

KINDS = tomllib.loads(Path(__file__).with_name("structures.toml").read_text(encoding="utf-8"))

_BY_WORD = {"artery": "aorta", "vein": "vein", "gluteus": "muscle"}


def without_side(name: str) -> str:
    """``kidney`` for ``kidney left``; a name without side stays."""
    return name.removesuffix(" left").removesuffix(" right")


def mirrored_name(name: str) -> str:
    """``kidney left`` for ``kidney right`` and the reverse; a name without side stays."""
    side = {"left": "right", "right": "left"}.get(name.rpartition(" ")[2])
    return name if side is None else f"{without_side(name)} {side}"


def is_any_of(name: str, kinds: Iterable[str]) -> bool:
    """Whether a structure is one of ``kinds``, or one of their parts: ``vertebra L3`` is a ``vertebra``."""
    base = without_side(name)
    return any(base == kind or base.startswith(f"{kind} ") for kind in kinds)


def is_mirrorable(structures: dict[int, str]) -> bool:
    """Whether all structures are of head and neck, whose sides look alike: no heart or liver changes its side."""
    return bool(structures) and all(without_side(name) in KINDS["alike"] for name in structures.values())


def draw_soft_tissues(rng: np.random.Generator, structures: dict[int, str]) -> dict[int, float]:
    """HU of the soft structures in some contrast phase, by label value; bones, lungs and fat are left out.

    Paired organs get the same HU up to a few units. Structures that no table lists lie about muscle.
    """
    phase = PHASES[rng.integers(len(PHASES))]
    tissues, column = draw_tissues(rng, phase), int(phase != "none")
    drawn: dict[str, float] = {}
    for base in dict.fromkeys(map(without_side, structures.values())):
        other = next((t for word, t in _BY_WORD.items() if word in base), None)
        tissue = KINDS["tissue_of"].get(base, other)
        spread = {"muscle": 3.0, "gut wall": 6.0, None: 14.0}.get(tissue, 4.0)
        drawn[base] = tissues[tissue or "muscle"] + float(rng.normal(0, spread))
        if base in KINDS["hu"]:
            drawn[base] = float(rng.uniform(*KINDS["hu"][base][column]))
    soft = {v: without_side(name) for v, name in structures.items() if not is_any_of(name, KINDS["hard"])}
    return {value: drawn[base] + float(rng.normal(0, 1.5)) for value, base in soft.items()}
