"""Data sets that model 0.6 was trained and tested on, besides those read as they are: made from ``shared/data``.

Usage: ``python QualitySentinelTraining/Research/training_data.py SHARED_DATA OUT [MASKS]``. It writes folders of cases:

- ``lungs``: whole lungs on ``ct_without_masks`` by threshold and connected air, where the two can be told apart;
- ``merged``: TotalSegmentator's example with lobes joined to lungs, ribs, vertebrae and paired organs to one mask each;
- ``two raters`` and ``rater2``: masks without a CT (``make-pairs --painted``); the other rater's as predictions;
- ``sites/chest64`` and ``sites/half chest``: lungs, for testing only;
- ``whole``: from ``MASKS`` (folders of TotalSegmentator's data set) the same joined masks, to be painted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nibabel
import numpy as np
from scipy import ndimage

from QualitySentinelLib.anatomy import match_structure
from QualitySentinelLib.reading import read_ct, read_segmentation
from QualitySentinelTrainingLib.subjects import subject_of

LUNGS = {1: "lung right", 2: "lung left"}
JOINED = {
    "lung left": ("lung", "left"), "lung right": ("lung", "right"), "heart": ("heart", ""),
    "vertebral column": ("vertebra", ""), "ribs left": ("costa", "left"), "ribs right": ("costa", "right"),
    "gluteus maximus": ("gluteus maximus", ""), "kidney": ("kidney", ""), "hip": ("hip", ""),
    "adrenal gland": ("adrenal", ""), "autochthon": ("autochthon", ""), "iliopsoas": ("iliopsoas", ""),
    "scapula": ("scapula", ""),
}  # fmt: skip
RIGHT_LUNG_ILL = "LIDC-IDRI-0314"
"""Its right lung is consolidated: a threshold finds a part of it only."""


def lungs_of(hu: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray | None:
    """Label map of the lungs, canonical ``[k, j, i]``; ``None`` where the two cannot be told apart."""
    air = hu < -500
    outside = np.zeros_like(air)
    for k, plane in enumerate(air):
        parts, _ = ndimage.label(plane)
        edge = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
        outside[k] = np.isin(parts, edge[edge > 0])
    bodies, _ = ndimage.label(ndimage.binary_opening(~outside, iterations=3))
    body = bodies == 1 + np.argmax(np.bincount(bodies.ravel())[1:])
    parts, count = ndimage.label(ndimage.binary_opening(air & ~outside & body, iterations=2))
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:] * np.prod(spacing)
    largest = [n + 1 for n in np.argsort(-sizes)[:2] if sizes[n] > 4e5]
    sides = _apart([parts == n for n in largest], spacing) if len(largest) == 2 else None
    if sides is None and largest:
        sides = _cut(np.isin(parts, largest[:1]))
    if sides is None:
        return None
    labels = np.zeros(hu.shape, np.uint8)
    for value, lung in enumerate(sides, start=1):
        lung = ndimage.binary_fill_holes(ndimage.binary_closing(lung, iterations=3))
        lung = np.stack([ndimage.binary_fill_holes(plane) for plane in lung])
        labels[lung & (labels == 0)] = value
    return labels


def _apart(lungs: list[np.ndarray], spacing) -> list[np.ndarray] | None:
    places = [ndimage.center_of_mass(lung)[2] for lung in lungs]
    return [lungs[n] for n in np.argsort(places)] if abs(places[0] - places[1]) * spacing[2] > 60 else None


def _cut(both: np.ndarray) -> list[np.ndarray] | None:
    """Lungs that touch: eroded until they fall apart, then every voxel goes to the nearer one."""
    for steps in range(1, 8):
        parts, count = ndimage.label(ndimage.binary_erosion(both, iterations=steps))
        sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
        first, *others = np.argsort(-sizes)
        if others and sizes[others[0]] > sizes[first] / 4:
            one, other = (ndimage.distance_transform_edt(parts != n + 1) for n in (first, others[0]))
            halves = [both & (one <= other), both & (one > other)]
            return [halves[n] for n in np.argsort([ndimage.center_of_mass(half)[2] for half in halves])]
    return None


def joined(labels: np.ndarray, structures: dict[int, str]) -> dict[str, np.ndarray]:
    """Masks of :data:`JOINED` from those of their parts."""
    masks = {}
    for name, (start, end) in JOINED.items():
        values = [v for v, s in structures.items() if s.startswith(start) and s.endswith(end)]
        if values and (mask := np.isin(labels, values)).sum() > 500:
            masks[name] = mask
    return masks


def _write(path: Path, voxels: np.ndarray, affine: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(voxels.transpose(2, 1, 0)), affine), path)


def _case(folder: Path, ct, labels: np.ndarray, names: dict[int, str]) -> None:
    _write(folder / "ct.nii.gz", ct.hu.astype(np.int16), ct.frame.ijk_to_ras)
    _write(folder / "label.nii.gz", labels.astype(np.uint8), ct.frame.ijk_to_ras)
    (folder.parent / "labels.json").write_text(json.dumps({str(v): n for v, n in names.items()}))


def main(data: Path, out: Path, masks: Path | None = None) -> None:
    for path in sorted((data / "ct_without_masks").glob("*.nii.gz")):
        ct, name = read_ct(path), path.name.removesuffix(".nii.gz")
        labels = lungs_of(ct.hu, ct.frame.spacing)
        if labels is not None:
            labels[(labels == 1) & (name == RIGHT_LUNG_ILL)] = 0
            _case(out / "lungs" / name, ct, labels, LUNGS)
    example = read_ct(data / "totalsegmentator/example_ct.nii.gz")
    found = read_segmentation(data / "totalsegmentator/example_seg_fast_force_split.nii.gz", example)
    subject = subject_of(example, found, "example")
    parts = joined(subject.labels, subject.structures)
    labels = sum((value * mask for value, mask in enumerate(parts.values(), start=1)), np.zeros((), np.uint8))
    _case(out / "merged/totalsegmentator_merged", subject.ct, labels, dict(enumerate(parts, start=1)))
    ct = read_ct(data / "chest64/ct.nii.gz")
    thirds = ct.frame.to_canonical(nibabel.load(data / "chest64/seg.nii.gz").get_fdata().astype(np.uint8).T)
    whole = np.isin(thirds, (2, 4, 5, 6, 12, 13, 14)) + 2 * np.isin(thirds, (3, 7, 8, 9, 10, 11))
    _case(out / "sites/chest64/chest64_lungs", ct, whole, LUNGS)
    for when in ("baseline", "followup"):
        folder = data / f"half_chest/lung_{when}"
        ct = read_ct(folder / "ct.nii.gz")
        lung = ct.frame.to_canonical(nibabel.load(folder / "seg.nii.gz").get_fdata().astype(np.uint8).T)
        _case(out / f"sites/half chest/half_chest_{when}", ct, lung, {1: "lung right"})
    raters = data / "two_raters_head_neck"
    matched = {int(v): match_structure(n) for v, n in json.loads((raters / "names.json").read_text()).items()}
    names = {value: structure.name for value, structure in matched.items() if structure}
    for folder in sorted(path for path in raters.iterdir() if path.is_dir()):
        image = nibabel.load(folder / "seg.nii.gz")
        labels = np.asarray(image.dataobj)
        for value, name in names.items():
            if (mask := labels == value).any():
                file = out / "two raters" / folder.name / "segmentations" / f"{name.replace(' ', '_')}.nii.gz"
                _write(file, mask.astype(np.uint8).T, image.affine)
        for number in range(2):  # as make-pairs names painted CTs
            target = out / "rater2/epoch_1" / f"{folder.name}_painted_{number}.nii.gz"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((folder / "seg_rater2.nii.gz").read_bytes())
    values = {"background": 0} | {name: value for value, name in names.items()}
    (out / "rater2/dataset.json").write_text(json.dumps({"labels": values}))
    for folder in sorted(masks.iterdir()) if masks else ():
        files = sorted((folder / "segmentations").glob("*.nii.gz"))
        images = {file.name.removesuffix(".nii.gz"): nibabel.load(file) for file in files}
        known = {stem: match_structure(stem) for stem in images}
        stems = dict(enumerate((stem for stem in images if known[stem]), start=1))
        drawn = (n * (np.asarray(images[stem].dataobj) > 0).astype(np.uint8) for n, stem in stems.items())
        labels = sum(drawn, np.zeros((), np.uint8))
        for name, mask in joined(labels, {n: known[stem].name for n, stem in stems.items()}).items():
            file = out / "whole" / folder.name / "segmentations" / f"{name.replace(' ', '_')}.nii.gz"
            _write(file, mask.astype(np.uint8).T, next(iter(images.values())).affine)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
