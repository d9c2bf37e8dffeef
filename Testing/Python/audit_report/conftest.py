"""Folders of an audit as the contract of docs/AUDIT_REPORT.md has them: generated tables, no images."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

STRUCTURES = {  # name: centroid (R, A, S) in mm, usual DSC
    "liver": ((80.0, 0.0, 0.0), 0.95),
    "spleen": ((-90.0, -20.0, 10.0), 0.93),
    "kidney left": ((-55.0, -40.0, -60.0), 0.92),
    "kidney right": ((55.0, -40.0, -70.0), 0.92),
    "lung left": ((-80.0, 0.0, 180.0), 0.96),
    "lung right": ((80.0, 0.0, 180.0), 0.96),
    "pancreas": ((0.0, 10.0, -20.0), 0.80),
    "vertebra L1": ((0.0, -60.0, -40.0), 0.94),
    "vertebra L3": ((0.0, -60.0, -110.0), 0.94),
    "bladder": ((0.0, 20.0, -320.0), 0.90),
}


@dataclass
class MadeAudit:
    """Rows of an audit, to be changed by a test before they are written."""

    folder: Path
    cases: list[dict] = field(default_factory=list)
    segments: list[dict] = field(default_factory=list)
    slices: list[dict] = field(default_factory=list)
    options: dict = field(default_factory=lambda: {"threshold": 0.8})
    model: dict = field(default_factory=lambda: {"name": "small", "sha256": "0123456789abcdef" * 4})

    def segment(self, case: str, segment: str) -> dict:
        return next(s for s in self.segments if (s["case"], s["segment"]) == (case, segment))

    def slices_of(self, case: str, segment: str) -> list[dict]:
        return [s for s in self.slices if (s["case"], s["segment"]) == (case, segment)]

    def drop(self, case: str, segment: str) -> None:
        """As if there were no such mask."""
        self.segments = [s for s in self.segments if (s["case"], s["segment"]) != (case, segment)]
        self.slices = [s for s in self.slices if (s["case"], s["segment"]) != (case, segment)]

    def write(self, parquet: bool = True) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("cases", "segments", "slices"):
            frame = pd.DataFrame(getattr(self, name))
            if parquet:
                frame.to_parquet(self.folder / f"{name}.parquet")
            frame.to_csv(self.folder / f"{name}.csv", index=False)
        run = {**self.options, "model": self.model, "versions": {}}
        (self.folder / "audit.json").write_text(json.dumps(run), encoding="utf-8")
        return self.folder


def make_audit(
    folder: Path, n_cases: int = 20, seed: int = 0, sex_gap: float = 0.0, structures=None, n_slices: int = 8, **names
) -> MadeAudit:
    """Cases ``c000`` ... with metadata; women's masks are predicted ``sex_gap`` lower, everything else is chance."""
    rng = np.random.default_rng(seed)
    made = MadeAudit(folder)
    for number in range(n_cases):
        case = f"c{number:03d}"
        sex = "F" if number % 2 else "M"
        age = int(rng.integers(20, 91))
        level = rng.normal(0, 0.015) - (sex_gap if sex == "F" else 0.0)
        for structure in structures or STRUCTURES:
            centroid, usual = STRUCTURES[structure]
            add_segment(made, case, structure, centroid, np.clip(usual + level + rng.normal(0, 0.02, n_slices), 0, 1))
        made.cases.append({
            "case": case, "dataset": names.get("dataset", "made"), "status": "done", "reason": "",
            "ct": f"{case}/ct.nii.gz", "seg": f"{case}/segmentations",
            "n_segments": len(structures or STRUCTURES), "seconds": 1.5, "device": "cpu",
            "model_sha256": names.get("model", "0123456789abcdef" * 4), "meta_sex": sex, "meta_age": age,
            "meta_institution": "AB"[int(rng.random() < 0.4)],
        })  # fmt: skip
    return made


def add_segment(made: MadeAudit, case: str, structure: str, centroid, dsc, threshold: float = 0.8, missed=()) -> None:
    """One segment with a slice of 400 mm2 per DSC, and missed slices above them with these DSC."""
    name = structure.replace(" ", "_")
    rows = [
        {
            "case": case, "segment": name, "structure": structure, "slice_index": 40 + k,
            "position_mm": centroid[2] + 5.0 * (k - len(dsc) / 2), "predicted_dsc": round(float(d), 4),
            "dsc_low": round(max(d - 0.1, 0), 4), "dsc_high": round(min(d + 0.08, 1), 4),
            "flagged": bool(d < threshold), "missed": k >= len(dsc), "area_mm2": 400.0, "k": 40 + k,
        }
        for k, d in enumerate([*dsc, *missed])
    ]  # fmt: skip
    for row in rows[len(dsc) :]:
        row |= {"flagged": False, "dsc_low": None, "dsc_high": None}
    d = np.array(dsc, float)
    below = len(d) + sum((1 - m) / 2 for m in missed)
    mean = float(d.sum() / below) if len(d) else None
    made.slices += rows
    made.segments.append({
        "case": case, "segment": name, "structure": structure, "n_slices": len(d), "n_scored": len(d),
        "predicted_dsc": mean, "dsc_low": None if mean is None else max(mean - 0.05, 0),
        "dsc_high": None if mean is None else min(mean + 0.05, 1), "n_flagged": sum(r["flagged"] for r in rows),
        "missed_slices": len(missed), "status": "scored" if len(d) else "empty", "volume_ml": 2.0 * len(d),
        "centroid_r_mm": centroid[0] if len(d) else None, "centroid_a_mm": centroid[1] if len(d) else None,
        "centroid_s_mm": centroid[2] if len(d) else None,
    })  # fmt: skip


@pytest.fixture
def make(tmp_path):
    """Makes an audit in a folder of the test's own."""

    def made(n_cases: int = 20, name: str = "out", **options) -> MadeAudit:
        return make_audit(tmp_path / name, n_cases, **options)

    return made
