"""How label errors are found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from ..option_files import Doc, Options
from .confident import METHODS


@dataclass(frozen=True)
class FindOptions(Options):
    """How label errors are found."""

    method: Annotated[
        Literal[METHODS], Doc("which voxels are flagged, see docs/LABEL_ERRORS.md")  # type: ignore[valid-type]
    ] = "both"
    band_mm: Annotated[
        float, Field(ge=0), Doc("look only so far from the edges of the given and the expected labels; 0: everywhere")
    ] = 12.0
