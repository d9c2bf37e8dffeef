"""A small phantom under review: the command in a process of its own, its page in headless Chromium."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from .serving import served_review

HOSTILE_NAME = "<img src=x onerror=document.title='hacked'>{{ 7 * 7 }}"
"""What a segmentation from somewhere may call a segment."""


@dataclass(frozen=True)
class ReviewFiles:
    """A case with planted errors: CT, label map and names, and the folder of its review."""

    ct: Path
    seg: Path
    names: Path
    out: Path

    @property
    def arguments(self) -> list[str]:
        """Of ``quality-sentinel review``."""
        return ["--ct", str(self.ct), "--seg", str(self.seg), "--names", str(self.names), "--out", str(self.out)]


@pytest.fixture(scope="module")
def review_files(tmp_path_factory) -> ReviewFiles:
    """Some organs of a generated torso, three of them corrupted, and one segment with a hostile name."""
    import nibabel

    from QualitySentinelTrainingLib.demo import plant_errors
    from QualitySentinelTrainingLib.phantom import FIRST_UNSEEN_SEED, make_phantom

    spacing = (8.0, 4.0, 4.0)
    phantom = make_phantom(FIRST_UNSEEN_SEED + 1, spacing=spacing, region=(70.0, 230.0))
    value_of = {name: value for value, name in phantom.names.items()}
    kept = {value_of[name]: name for name in ("liver", "spleen", "kidney right", "stomach", "aorta")}
    labels = np.where(np.isin(phantom.labels, list(kept)), phantom.labels, 0).astype(np.uint8)
    corrupted = labels.copy()
    errors = {"liver": ("missing part", 0.25), "spleen": ("leak", 0.35), "kidney right": ("shift", 0.5)}
    plan = {value_of[name]: error for name, error in errors.items()}
    plant_errors(corrupted, plan, labels, phantom.hu, spacing, np.random.default_rng(0))
    folder = tmp_path_factory.mktemp("review")
    files = ReviewFiles(folder / "ct.nii.gz", folder / "seg.nii.gz", folder / "names.json", folder / "kept")
    for path, voxels in ((files.ct, phantom.hu), (files.seg, corrupted)):
        nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(voxels.T), phantom.ijk_to_ras), path)
    names = kept | {value_of["aorta"]: HOSTILE_NAME}
    files.names.write_text(json.dumps({str(value): name for value, name in names.items()}), encoding="utf-8")
    return files


@pytest.fixture(scope="module")
def served(review_files):
    """The command, listening; whatever trame is told, it listens on the loopback address."""
    pytest.importorskip("trame_slicer", reason="needs the extra 'review'")
    told = {"TRAME_ARGS": "--host 0.0.0.0", "TRAME_DEFAULT_HOST": "0.0.0.0"}
    with served_review(review_files.arguments, review_files.ct.parent, told) as served:
        yield served
