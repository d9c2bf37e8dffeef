"""Ways to make samples harmful, to test what finds them: applied when a sample is read, the files stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from QualitySentinelLib.errors import UsageError

if TYPE_CHECKING:
    from ..subjects import Subject  # the command line lists harms without it

LOWEST_HU, HIGHEST_HU = -1000.0, 1000.0
"""The gray levels of the published harms (0 to 255) are spread over this range."""
_NOISE = 25 / 255
_RESCALE_HU = 1024
_SHIFT_MM = 25.0

Apply = Callable[["Subject", np.random.Generator], "Subject"]


@dataclass(frozen=True)
class Harm:
    """A way to make a sample harmful."""

    about: str  # what it does, in a few words
    apply: Apply  # gives another subject
    masks: bool = False  # it changes masks, so it does nothing where a whole CT has one label
    wrong_label: bool = False  # the label of a whole CT (with or without a lesion) becomes the other one


def _with_hu(subject: Subject, hu: np.ndarray) -> Subject:
    return replace(subject, ct=replace(subject.ct, hu=hu.astype(np.float32), body=None))


def _inverted(subject: Subject, rng: np.random.Generator) -> Subject:
    return _with_hu(subject, LOWEST_HU + HIGHEST_HU - np.clip(subject.ct.hu, LOWEST_HU, HIGHEST_HU))


def _noise(subject: Subject, rng: np.random.Generator) -> Subject:
    noise = rng.normal(0.0, _NOISE * (HIGHEST_HU - LOWEST_HU), subject.ct.hu.shape)
    return _with_hu(subject, np.clip(subject.ct.hu + noise, LOWEST_HU, HIGHEST_HU))


def _offset(subject: Subject, rng: np.random.Generator) -> Subject:
    return _with_hu(subject, subject.ct.hu.astype(np.float32) + _RESCALE_HU)


def _mirrored(subject: Subject, rng: np.random.Generator) -> Subject:
    return replace(_with_hu(subject, subject.ct.hu[..., ::-1]), labels=subject.labels[..., ::-1].copy())


def _shifted(subject: Subject, rng: np.random.Generator) -> Subject:
    angle = rng.uniform(0, 2 * np.pi)
    spacing = np.array(subject.ct.frame.spacing[1:])
    moved = np.round(_SHIFT_MM * np.array([np.sin(angle), np.cos(angle)]) / spacing).astype(int)
    return replace(subject, labels=np.roll(subject.labels, tuple(moved), (1, 2)))


def _wrong_labels(subject: Subject, rng: np.random.Generator) -> Subject:
    values = sorted(subject.structures)
    if len(values) < 2:  # one structure: its mask lies where it cannot be
        return replace(subject, labels=np.roll(subject.labels, subject.labels.shape[0] // 2, 0))
    table = np.arange(max(values) + 1, dtype=subject.labels.dtype)
    table[values] = np.roll(values, int(rng.integers(1, len(values))))
    return replace(subject, labels=table[subject.labels])


HARMS: dict[str, Harm] = {
    "inverted": Harm("dark and bright exchanged, as published", _inverted),
    "noise": Harm("Gaussian noise of 25 of 255 gray levels, as published", _noise),
    "wrong labels": Harm("each mask has the name of another structure", _wrong_labels, wrong_label=True),
    "shifted masks": Harm(f"masks {_SHIFT_MM:g} mm off", _shifted, masks=True),
    "HU offset": Harm(f"{_RESCALE_HU} HU too high: the rescale intercept was forgotten", _offset),
    "mirrored": Harm("left and right exchanged in CT and masks, names kept", _mirrored),
}


def harmed(subject: Subject, name: str) -> Subject:
    """A subject with a harm of :data:`HARMS` done to it, the same each time; an empty name does nothing.

    Raises:
        UsageError: there is no such harm.
    """
    if not name:
        return subject
    return harm_named(name).apply(subject, np.random.default_rng(crc32(subject.name.encode())))


def harm_named(name: str) -> Harm:
    """The harm of a name.

    Raises:
        UsageError: there is none.
    """
    if name not in HARMS:
        raise UsageError(f"{name!r} is no harm; available: {', '.join(HARMS)}")
    return HARMS[name]
