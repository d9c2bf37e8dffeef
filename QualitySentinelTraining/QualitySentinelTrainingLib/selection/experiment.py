"""What an experiment file says, and who plays which role in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from QualitySentinelLib.anatomy import match_structure
from QualitySentinelLib.errors import UsageError

from ..option_files import Doc, NonNegativeInt, Options, PositiveFloat, PositiveInt, Share
from ..segmentation.options import SegmentationOptions
from ..subjects import SubjectSource
from .pseudo import Weak
from .strategies import STRATEGIES
from .units import Budget, WeakLabeler

NETWORK = SegmentationOptions(
    size=64, pixel_mm=5.0, slice_mm=6.0, depth=16, steps=12, widths=(8, 16, 32, 64), learning_rate=1e-2, dropout=0.1
)
"""Small enough for many rounds on a CPU."""


@dataclass(frozen=True)
class Experiment(Options):
    """An experiment file (TOML). All strategies get the same budget, patients, first network and training."""

    data: Annotated[Path | None, Doc("labeled data set; relative to the file")] = None
    phantoms: Annotated[NonNegativeInt, Doc("generated torsos instead of a data set")] = 0
    structures: Annotated[tuple[str, ...], Doc("only these of the data set (default: all)")] = ()
    layout: Annotated[str | None, Doc("its layout")] = None
    names: Annotated[str | None, Doc("what its label values mean")] = None
    patient: Annotated[str | None, Doc("regular expression whose first group is the patient, in a case's name")] = None
    strategies: Annotated[tuple[str, ...], Doc("who is compared")] = ("predicted-quality", "random")
    weak: Annotated[tuple[Weak, ...], Doc("which pseudo labels are added each round")] = ("none",)
    weak_share: Annotated[Share, Doc("of the pool, for best and random")] = 0.5
    weak_by: Annotated[Literal["case", "structure", "slice"], Doc("what is pseudo-labeled")] = "case"
    crf: Annotated[bool, Doc("check pseudo labels by DSAL's CRF")] = False
    dsal_first_round: Annotated[PositiveInt, Doc("of DSAL's weak labels")] = 5
    dsal_number: Annotated[PositiveInt, Doc("of DSAL's weak labels in that round, and more in each one after")] = 20
    budget: Annotated[str, Doc("of each round; 0cases for pseudo labels alone")] = "4cases"
    minutes_per_slice: Annotated[PositiveFloat, Doc("what a slice costs")] = 1.0
    rounds: Annotated[PositiveInt, Doc("of annotating and training")] = 3
    seeds: Annotated[tuple[NonNegativeInt, ...], Doc("one repetition each")] = (0, 1, 2)
    initial: Annotated[PositiveInt, Doc("patients annotated at the start")] = 6
    pool: Annotated[PositiveInt, Doc("patients to choose from")] = 40
    test: Annotated[PositiveInt, Doc("patients measured on, the same for every seed")] = 20
    network: Annotated[SegmentationOptions, Doc("a table; everything happens at its resolution")] = NETWORK
    first_epochs: Annotated[PositiveInt, Doc("of the first network")] = 15
    epochs: Annotated[PositiveInt, Doc("of each round, 3 or more; they go on from the round before")] = 6
    tolerance_mm: Annotated[PositiveFloat, Doc("of the NSD")] = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.data is None) != (self.phantoms > 0):
            raise UsageError("give data, a labeled data set, or phantoms, their number")
        found = {name: match_structure(name) for name in self.structures}
        if None in found.values():
            name = next(name for name, structure in found.items() if structure is None)
            raise UsageError(f"structures has {name!r}, which is no known structure; give names such as liver")
        object.__setattr__(self, "structures", tuple(structure.name for structure in found.values()))
        for name in self.strategies:
            if name not in STRATEGIES:
                raise UsageError(f"strategies has {name!r}; give some of {', '.join(STRATEGIES)}")
        if "dsal" in self.weak and "deep-supervision" not in self.strategies:
            raise UsageError("weak = 'dsal' is for the strategy 'deep-supervision'; add it to strategies")
        if self.epochs < 3 or self.first_epochs < 3:
            raise UsageError("epochs and first_epochs are 3 or more; networks of each third of them disagree")
        if not self.strategies or not self.seeds:
            raise UsageError("strategies and seeds need one value or more")
        self.strong()
        if "deep-supervision" in self.strategies and self.network.levels < 3:
            raise UsageError("'deep-supervision' needs deep_supervision = true and four widths or more in [network]")
        if "mc-dropout" in self.strategies and not self.network.dropout:
            raise UsageError("'mc-dropout' needs a dropout above 0 in [network]")

    @property
    def called(self) -> str:
        """The data set's name."""
        return f"{self.phantoms} phantoms" if self.data is None else self.data.name

    def strong(self) -> Budget | None:
        """The budget of a round; ``None`` for no strong labels."""
        if self.budget.replace(" ", "") in ("0", "0cases"):
            return None
        return Budget.parse(self.budget, self.minutes_per_slice)

    def arms(self) -> list[tuple[str, Weak]]:
        """Every strategy with every kind of pseudo labels; DSAL's belong to its own strategy."""
        return [(s, w) for s in self.strategies for w in self.weak if w != "dsal" or s == "deep-supervision"]

    def schedule(self) -> WeakLabeler:
        """DSAL's weak labels."""
        return WeakLabeler(self.dsal_first_round, self.dsal_number)

    def stages(self, round_: int) -> tuple[int, ...]:
        """Epochs after which the network of a round is kept: each third of it; round 0 is the first network."""
        start = self.first_epochs + (round_ - 1) * self.epochs if round_ else 0
        length = self.epochs if round_ else self.first_epochs
        return tuple(start + length * third // 3 for third in (1, 2, 3))

    def training(self, seed: int, round_: int) -> SegmentationOptions:
        """Options of the network of a round."""
        before = (self.stages(round_ - 1)[-1],) if round_ else ()
        return replace(self.network, epochs=(*before, *self.stages(round_)), seed=seed)

    def roles(self, sources: Sequence[SubjectSource], seed: int) -> dict[str, str]:
        """``initial``, ``pool`` or ``test`` by the name of each case that takes part; a patient has one role.

        Every seed has the same patients, and the same of them to test on.

        Raises:
            UsageError: there are not enough patients.
        """
        people = sorted({source.patient for source in sources})
        wanted = self.initial + self.pool + self.test
        if wanted > len(people):
            where, together = self.data or self.called, f"initial, pool and test together are {wanted}"
            raise UsageError(f"{where}: has {len(people)} patients; {together}")
        shuffled = np.random.default_rng(0).permutation(people).tolist()
        others = np.random.default_rng([1, seed]).permutation(shuffled[self.test : wanted]).tolist()
        role = dict.fromkeys(shuffled[: self.test], "test")
        role |= dict.fromkeys(others[: self.initial], "initial")
        role |= dict.fromkeys(others[self.initial :], "pool")
        return {s.name: role[s.patient] for s in sources if s.patient in role}
