"""Which tissue a structure is made of, and its Hounsfield units in a contrast phase."""

from __future__ import annotations

import numpy as np

from ..phantom.tissue import draw_tissues
from .names import is_any_of, without_side

PHASES = ("none", "arterial", "venous")

_TISSUE_OF = {
    "liver": "liver", "spleen": "spleen", "kidney": "kidney", "pancreas": "pancreas", "adrenal gland": "adrenal",
    "gallbladder": "bile", "bladder": "urine", "stomach": "gut wall", "duodenum": "gut wall",
    "small bowel": "gut wall", "bowel": "gut wall", "colon": "gut wall", "sigmoid colon": "gut wall",
    "rectum": "gut wall", "esophagus": "gut wall", "pharynx": "gut wall", "prostate": "prostate",
    "seminal vesicle": "prostate", "uterus": "prostate", "uterocervix": "prostate", "cervix": "prostate",
    "heart": "heart", "heart myocardium": "heart", "heart tissue": "heart", "heart atrium": "blood",
    "heart ventricle": "blood", "aorta": "aorta", "celiac trunk": "aorta", "brachiocephalic trunk": "aorta",
    "inferior vena cava": "vein", "superior vena cava": "vein", "portal vein and splenic vein": "vein",
    "thyroid": "thyroid", "thyroid gland": "thyroid", "tongue": "muscle", "autochthon": "muscle",
    "iliopsoas": "muscle", "muscles": "muscle", "skeletal muscle": "muscle",
}  # fmt: skip

_RANGES = {  # (no contrast), (contrast): what the phantom, a torso, has no tissue for
    "brainstem": ((22, 38), (26, 44)),
    "brain": ((26, 40), (28, 45)),
    "cerebellum": ((26, 42), (30, 48)),
    "temporal lobe": ((26, 40), (28, 45)),
    "spinal cord": ((18, 42), (22, 48)),
    "spinal canal": ((8, 30), (10, 36)),
    "eyeball": ((4, 22), (4, 24)),
    "eye lens": ((70, 110), (70, 110)),
    "optic nerve": ((18, 40), (20, 45)),
    "parotid gland": ((-25, 40), (0, 80)),
    "submandibular gland": ((30, 60), (60, 110)),
    "larynx": ((25, 60), (35, 80)),
    "thymus": ((-60, 40), (-50, 60)),
}
_HARD = (
    "vertebra", "costa", "hip", "femur", "humerus", "scapula", "clavicle", "sternum", "sacrum", "skull", "mandible",
    "tibia", "fibula", "patella", "radius", "ulna", "rib", "ribs", "coccyx", "pelvis", "lung", "trachea", "bronchi",
    "fat", "subcutaneous fat", "torso fat", "intermuscular fat", "body", "skin", "face", "nasal cavity",
)  # fmt: skip


def draw_soft_tissues(rng: np.random.Generator, structures: dict[int, str], phase: str) -> dict[int, float]:
    """HU of the soft structures in a contrast ``phase``, by label value; bones, lungs and fat are left out.

    Paired organs get the same HU up to a few units. Structures that no table lists lie about muscle.
    """
    tissues, column = draw_tissues(rng, phase), int(phase != "none")
    drawn: dict[str, float] = {}
    found = {}
    for value, name in structures.items():
        if is_any_of(name, _HARD):
            continue
        base = without_side(name)
        if base not in drawn:
            drawn[base] = _level(rng, base, tissues, column)
        found[value] = drawn[base] + float(rng.normal(0, 1.5))
    return found


def _level(rng, base: str, tissues: dict[str, float], column: int) -> float:
    if base in _RANGES:
        return float(rng.uniform(*_RANGES[base][column]))
    tissue = _TISSUE_OF.get(base)
    if tissue is None and "artery" in base:
        tissue = "aorta"
    elif tissue is None and "vein" in base:
        tissue = "vein"
    elif tissue is None and base.startswith("gluteus"):
        tissue = "muscle"
    spread = {"muscle": 3.0, "gut wall": 6.0, None: 14.0}.get(tissue, 4.0)
    return tissues[tissue or "muscle"] + float(rng.normal(0, spread))
