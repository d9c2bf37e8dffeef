"""The structures a phantom can hold and the label value of each, the same in every phantom."""

from __future__ import annotations

_SIDES = ("left", "right")

VERTEBRAE = tuple(f"L{n}" for n in range(5, 0, -1)) + tuple(f"T{n}" for n in range(12, 0, -1))
"""From inferior to superior."""

STRUCTURES: tuple[str, ...] = (
    "liver", "spleen", "kidney left", "kidney right", "stomach", "pancreas", "gallbladder", "duodenum", "small bowel",
    "colon", "rectum", "bladder", "prostate", "adrenal gland left", "adrenal gland right", "esophagus", "trachea",
    "heart", "aorta", "inferior vena cava", "portal vein and splenic vein", "pulmonary artery",
    "lung left", "lung right", "iliac artery left", "iliac artery right", "iliac vein left", "iliac vein right",
    "autochthon left", "autochthon right", "iliopsoas left", "iliopsoas right",
    "gluteus maximus left", "gluteus maximus right", "spinal canal", "sternum", "sacrum",
    "hip left", "hip right", "femur left", "femur right", "clavicle left", "clavicle right",
    "scapula left", "scapula right", "thyroid left", "thyroid right",
    *(f"vertebra {name}" for name in VERTEBRAE),
    *(f"costa {n} {side}" for n in range(1, 13) for side in _SIDES),
)  # fmt: skip
"""Name of label value ``v`` is ``STRUCTURES[v - 1]``."""

VALUES: dict[str, int] = {name: value for value, name in enumerate(STRUCTURES, start=1)}
