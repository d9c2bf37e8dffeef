"""nnU-Net's raw data: ``imagesTr/CASE_0000.nii.gz``, ``labelsTr/CASE.nii.gz``, ``dataset.json``."""

from __future__ import annotations

import re
from pathlib import Path

from ...reading.image import image_stem, images_in
from ...reading.names import read_json, read_names
from .layout import Found, Layout, case_of

CHANNEL = re.compile(r"(.+)_(\d{4})")
"""Stem of an image: its case, and the number of its channel."""
PARTS = {"Tr": "train", "Ts": "test"}
"""Folders ``imagesTr`` and ``labelsTr``, and so on; what the column ``split`` says of their cases."""


def fits(root: Path) -> bool:
    """Whether its images carry channel numbers."""
    return (root / "labelsTr").is_dir() and any(CHANNEL.fullmatch(image_stem(p)) for p in images_in(root / "imagesTr"))


def find(root: Path, numbered: bool = True) -> Found:
    """Every image or label map of a part that has label maps is a case; of several channels the CT is taken.

    ``numbered``: names of images end in the number of a channel; others are left out.
    """
    (names, channel), cases = _described(root), []
    for part, split in PARTS.items():
        labels = {image_stem(p): p for p in images_in(root / f"labels{part}")}
        cts, several = {}, set()
        for path in images_in(root / f"images{part}"):
            match = CHANNEL.fullmatch(image_stem(path)) if numbered else None
            if numbered and match is None:
                continue
            name, number = (match[1], int(match[2])) if match else (image_stem(path), channel)
            several.add(name)
            if number == channel:
                cts[name] = path
        for case in sorted({*labels, *several} if labels else ()):
            cases.append(case_of(root, case, cts.get(case), labels.get(case), names=names, metadata={"split": split}))
    return Found(cases)


def _described(root: Path) -> tuple[dict[str, str] | None, int]:
    """What ``dataset.json`` says: names by label value, and the number of the channel called CT, else 0."""
    path = root / "dataset.json"
    if not path.is_file():
        return None, 0
    told = read_json(path)
    told = told if isinstance(told, dict) else {}
    channels = told.get("channel_names") or told.get("modality") or {}
    called = channels.items() if isinstance(channels, dict) else ()
    channel = next((int(k) for k, v in called if str(k).isdecimal() and str(v).upper() == "CT"), 0)
    return (read_names(path) if told.get("labels") else None), channel


LAYOUT = Layout("nnunet", fits, find)
