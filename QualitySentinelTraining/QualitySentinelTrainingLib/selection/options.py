"""How a pool is ranked; without heavy imports, because the command line reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from ..option_files import Doc, NonNegativeInt, Options, PositiveFloat, PositiveInt, Share


@dataclass(frozen=True)
class SelectOptions(Options):
    """How to select."""

    budget: Annotated[str, Doc("how much can be annotated: 20cases, 300slices or 90minutes")]
    strategy: Annotated[str, Doc("how to rank, see --list-strategies")] = "predicted-quality"
    predictions: Annotated[tuple[Path, ...], Doc("folders of predicted masks, one for each network")] = ()
    probabilities: Annotated[tuple[Path, ...], Doc("folders of class probabilities, one for each network or pass")] = ()
    network: Annotated[tuple[Path, ...], Doc("files of our segmentation networks")] = ()
    scores: Annotated[Path | None, Doc("folder of an audit or of find-errors: nothing is scored again")] = None
    trust: Annotated[Share, Doc("share of all that is left that becomes pseudo labels")] = 0.5
    trust_by: Annotated[Literal["case", "structure", "slice"] | None, Doc("by what (default: as the budget is)")] = None
    dsal_round: Annotated[PositiveInt | None, Doc("number of the round: trust as DSAL does in it, not by share")] = None
    minutes_per_slice: Annotated[PositiveFloat, Doc("what a slice of a structure costs")] = 1.0
    done: Annotated[tuple[Path, ...], Doc("done.csv of reviews, or earlier lists that are annotated now")] = ()
    export: Annotated[tuple[Literal["case-iterator", "tasks"], ...], Doc("lists for other programs")] = ()
    nnunet: Annotated[Path | None, Doc("folder for nnU-Net's raw data of the next round")] = None
    layout: Annotated[str | None, Doc("layout of the pool, see docs/AUDIT.md (default: detected)")] = None
    names: Annotated[str | None, Doc("what the values of label maps mean: dap, openkbp or a file")] = None
    model: Annotated[str, Doc("quality model: bundled or a file")] = "bundled"
    device: Annotated[str, Doc("cpu, cuda or auto")] = "cpu"
    workers: Annotated[PositiveInt | None, Doc("cases side by side (default: as the machine allows)")] = None
    seed: Annotated[NonNegativeInt, Doc("draws ties and random choices")] = 0
    retry_failed: Annotated[bool, Doc("retry the cases that failed before")] = False
