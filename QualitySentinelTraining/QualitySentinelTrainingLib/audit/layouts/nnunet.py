"""nnU-Net's raw data: ``imagesTr/CASE_0000.nii.gz``, ``labelsTr/CASE.nii.gz``, ``dataset.json``."""

from __future__ import annotations

import json
import re
from pathlib import Path

from QualitySentinelLib.errors import InputError
from QualitySentinelLib.reading.image import image_stem, is_image_file

from ..cases import AuditCase

_CHANNEL = re.compile(r"(.+)_(\d{4})")
PARTS = {"Tr": "train", "Ts": "test"}
"""Folders ``imagesTr`` and ``labelsTr``, and so on; what the column ``split`` says of their cases."""


def fits(root: Path) -> bool:
    """Whether its images carry channel numbers."""
    return (root / "labelsTr").is_dir() and any(_CHANNEL.fullmatch(image_stem(p)) for p in images(root / "imagesTr"))


def find(root: Path) -> tuple[list[AuditCase], list[str]]:
    """Every image or label map of a part that has label maps is a case; of several channels the CT is taken."""
    told = read_dataset_json(root)
    channel, names, cases = _ct_channel(told), label_names(told.get("labels")), []
    for part, split in PARTS.items():
        labels = {image_stem(p): p for p in images(root / f"labels{part}")}
        cts, several = {}, set()
        for path in images(root / f"images{part}"):
            match = _CHANNEL.fullmatch(image_stem(path))
            if match:
                several.add(match[1])
                if int(match[2]) == channel:
                    cts[match[1]] = path
        for case in sorted({*labels, *several} if labels else ()):
            cases.append(pair(root, case, cts.get(case), labels.get(case), names, split))
    return cases, []


def images(folder: Path) -> list[Path]:
    """The image files of a folder in alphabetical order; none when there is no such folder."""
    return sorted(p for p in folder.iterdir() if p.is_file() and is_image_file(p)) if folder.is_dir() else []


def pair(root: Path, name: str, ct: Path | None, labels: Path | None, names, split: str) -> AuditCase:
    """The case of an image and a label map, one of which may be missing."""
    problem = "has no CT image" if ct is None else "has no label map" if labels is None else ""
    where = [path.relative_to(root).as_posix() if path is not None else "" for path in (ct, labels)]
    return AuditCase(name, *where, names=names, metadata={"split": split}, problem=problem)


def read_dataset_json(root: Path) -> dict:
    """``dataset.json``, or nothing when there is none.

    Raises:
        InputError: it is damaged.
    """
    path = root / "dataset.json"
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise InputError(f"{path}: is not JSON; correct it, or name the labels with --names") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: is not a data set's description; correct it, or name the labels with --names")
    return content


def _ct_channel(told: dict) -> int:
    """The channel that is called CT, else the first."""
    channels = told.get("channel_names") or told.get("modality") or {}
    called = channels.items() if isinstance(channels, dict) else ()
    return next((int(k) for k, v in called if str(k).isdecimal() and str(v).upper() == "CT"), 0)


def label_names(labels) -> dict[str, str] | None:
    """Names by label value, from ``{"liver": 1}`` (nnU-Net) or ``{"1": "liver"}`` (its first version, the Decathlon).

    A region (several values) names a value only where nothing else does.
    """
    if not isinstance(labels, dict):
        return None
    if all(str(key).isdecimal() for key in labels):
        return {str(value): str(name) for value, name in labels.items() if int(value) > 0} or None
    single, regions = {}, {}
    for name, value in labels.items():
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, list):
            regions |= {str(v): str(name) for v in value if str(v) not in regions}
        elif str(value).isdecimal() and int(value) > 0:
            single[str(value)] = str(name)
    return {**regions, **single} or None
