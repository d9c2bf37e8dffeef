"""How label errors are found, made, and learned from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from ..option_files import Doc, NonNegativeInt, Options, PositiveInt, Share
from .confident import METHODS


@dataclass(frozen=True)
class FindOptions(Options):
    """How label errors are found."""

    method: Annotated[
        Literal[METHODS], Doc("which voxels are flagged, see docs/LABEL_ERRORS.md")  # type: ignore[valid-type]
    ] = "both"
    band_mm: Annotated[
        float, Field(ge=0), Doc("look only so far from the edges of the given and the expected labels; 0: everywhere")
    ] = 8.0


@dataclass(frozen=True)
class NoiseOptions(Options):
    """The noise of Zhang et al. 2020 (MICCAI)."""

    alpha: Annotated[Share, Doc("share of the cases of each structure that is corrupted")] = 0.5
    beta: Annotated[PositiveInt, Doc("radius in pixels of what is added or removed")] = 5
    seed: Annotated[NonNegativeInt, Doc("of all that is drawn")] = 0


@dataclass(frozen=True)
class StudentOptions(Options):
    """What a network learns from, where label errors were found."""

    labels: Annotated[
        Literal["given", "corrected", "picked", "pick-and-learn"],
        Doc("as given; corrected; without the worst slices; or weighted by a learned quality (needs no --errors)"),
    ] = "corrected"
    epsilon: Annotated[Share, Doc("how far a wrong label is moved to the suggested one; 1: all the way")] = 1.0
    published: Annotated[bool, Doc("as the published loss: with epsilon 1, what is missing is not added")] = False
    dropped: Annotated[Share, Doc("share of each structure's slices, those of the lowest quality, to leave out")] = 0.2
