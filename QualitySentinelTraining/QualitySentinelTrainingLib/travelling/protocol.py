"""The travelling model: one model visits the centers one after another, and harmful updates are undone.

Souza et al. 2025 (npj Digital Medicine 8, doi 10.1038/s41746-025-01499-0). After each batch the model is verified on
data that the server holds. An update that makes it worse is rolled back, and the samples of the batch are tried one by
one. A sample that is rejected alone is left out for some cycles, then tried again; rejected again, it is eliminated.

This file knows no network, no files and no engine: a :class:`Learner` trains and verifies, wherever that happens.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Protocol

import numpy as np

from QualitySentinelLib.errors import InputError

from ..option_files import Doc, NonNegativeFloat, NonNegativeInt, Options, PositiveInt
from ..stats import outlier_limit

_ENOUGH = 4
"""Centers that tell what is usual."""
Errors = Mapping[str, float]
"""What is wrong with a model on the verification set, lower is better: false-positive and false-negative rate, a loss,
or 1 - DSC."""


class CenterUnavailable(Exception):
    """A center does not answer, or not sensibly: it is passed over, and visited again in the next cycle."""


class Learner(Protocol):
    """Trains the one model that travels, and verifies it."""

    def state(self) -> Any:
        """A copy of weights and optimizer state."""

    def restore(self, state: Any) -> None:
        """Go back to an earlier :meth:`state`."""

    def train(self, center: str, samples: Sequence[str], steps: int = 0) -> Errors:
        """Train on a batch at a center: so many steps of the optimizer; 0: one pass.

        Returns:
            What the center says of the samples, such as their loss before; high is suspicious. May be empty.

        Raises:
            CenterUnavailable: the center does not answer.
        """

    def verify(self) -> Errors:
        """Evaluate the model on the verification set, which shares no patient with the test set."""

    def expected(self) -> Errors:
        """The highest that a center may say of a good sample, from samples of the server."""


@dataclass(frozen=True)
class TravelOptions(Options):
    """How the model travels."""

    cycles: Annotated[PositiveInt, Doc("visits of every center")] = 20
    batch_size: Annotated[PositiveInt, Doc("samples of an update; a center's last batch may be smaller")] = 5
    tolerance: Annotated[
        NonNegativeFloat, Doc("rise of an error that one sample may cause; a batch of n may cause n times as much")
    ] = 0.02
    # each accepted update becomes the reference of the next, so that small harm adds up without this limit
    drift: Annotated[
        NonNegativeFloat | None,
        Doc("rise above the lowest error so far that all updates together may cause; none: no limit, as published"),
    ] = 0.1
    # one pass over a batch hardly moves a model; many steps on the same samples show what they teach
    trial_steps: Annotated[
        NonNegativeInt,
        Doc("steps of the trial by which a batch is judged; 0: it is judged by the update itself, as published"),
    ] = 16
    own_loss: Annotated[
        bool, Doc("also reject samples whose loss, before the trial, is higher than that of all verification samples")
    ] = True
    # an update that happened to make the model very good becomes the reference, too. From there any sample makes it
    # worse, and without this all would be eliminated
    relative: Annotated[
        bool, Doc("also allow the rise that is usual at other centers: then the model is at fault, not the samples")
    ] = True
    revisit_after: Annotated[NonNegativeInt, Doc("cycles that a rejected sample is left out")] = 2
    guarded_from: Annotated[NonNegativeInt, Doc("first cycle that is verified; those before train on trust")] = 0
    seed: Annotated[NonNegativeInt, Doc("of the order of centers and samples")] = 0


class Fate(StrEnum):
    """What became of an update; of a rejected batch, the samples are tried one by one next."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    REVISIT = "revisit"  # a single sample, left out for some cycles
    ELIMINATED = "eliminated"  # a single sample, left out for good
    PASSED_OVER = "passed over"  # the center did not answer


@dataclass(frozen=True)
class Event:
    """An update, and what became of it."""

    cycle: int
    center: str
    samples: tuple[str, ...]
    fate: Fate
    # of the model after the trial or the update, kept or not; empty where it was not verified
    errors: Errors = field(default_factory=dict)
    note: str = ""  # why the center was passed over


@dataclass(frozen=True)
class Visit:
    """What happened at one center, or, without a center, when rejected samples were tried again after a cycle."""

    cycle: int
    center: str
    events: list[Event]


@dataclass
class TravelState:
    """Where the journey is; with the learner's state it can go on from here."""

    cycle: int = 0
    visited: int = 0  # centers, in this cycle
    reference: dict[str, float] | None = None  # errors after the last accepted update
    best: dict[str, float] = field(default_factory=dict)  # the lowest value of each error so far
    due: dict[str, int] = field(default_factory=dict)  # when, after a cycle, each rejected sample is tried again
    eliminated: list[str] = field(default_factory=list)
    # of each error, by batches (by their first sample) and by single samples
    rises: dict[str, dict[str, float]] = field(default_factory=dict)
    verifications: int = 0  # passes over the verification set
    seconds_training: float = 0.0
    seconds_verifying: float = 0.0


class Journey:
    """A model's journey through the centers.

    Args:
        centers: the samples of each center; a sample's name is unique among all centers.
        state: where an earlier journey stopped; the learner must have been restored to that point.

    Raises:
        InputError: there are no centers, one has no samples, or two samples share a name.
    """

    def __init__(
        self, learner: Learner, centers: Mapping[str, Sequence[str]], options: TravelOptions = TravelOptions(),
        state: TravelState | None = None,
    ) -> None:  # fmt: skip
        if not centers:
            raise InputError("there are no centers to travel to")
        if empty := [name for name, samples in centers.items() if not samples]:
            raise InputError(f"center {empty[0]}: has no samples; leave it out")
        self._home = {sample: center for center, samples in centers.items() for sample in samples}
        if len(self._home) < sum(map(len, centers.values())):
            raise InputError("two samples share a name; names must be unique among all centers")
        self._learner, self._options = learner, options
        self._centers = {name: tuple(centers[name]) for name in sorted(centers)}
        self.state = state or TravelState()

    def visits(self) -> Iterator[Visit]:
        """Travel; after each visit :attr:`state` can be kept to go on from.

        Raises:
            InputError: before any update, the model gives no finite number.
        """
        options, state = self._options, self.state
        while state.cycle < options.cycles:
            cycle = state.cycle
            if cycle >= options.guarded_from and state.reference is None:
                self._keep(self._verify())
            order = np.random.default_rng([options.seed, cycle]).permutation(list(self._centers))
            if state.visited < len(order):
                visit = Visit(cycle, str(order[state.visited]), list(self._visit(str(order[state.visited]))))
                state.visited += 1
            else:
                visit = Visit(cycle, "", list(self._revisits()))
                state.cycle, state.visited = cycle + 1, 0
            yield visit

    def _visit(self, center: str) -> Iterator[Event]:
        state, size = self.state, self._options.batch_size
        # A generator for each visit, not one for all: an interrupted journey goes on in the same order.
        rng = np.random.default_rng([self._options.seed, state.cycle, state.visited])
        self._expect()
        left_out = {*state.eliminated, *state.due}
        samples = [s for s in self._centers[center] if s not in left_out]
        samples = [samples[i] for i in rng.permutation(len(samples))]
        for start in range(0, len(samples), size):
            events = list(self._batch(center, tuple(samples[start : start + size])))
            yield from events
            if events[-1].fate is Fate.PASSED_OVER:
                return

    def _revisits(self) -> Iterator[Event]:
        state = self.state
        self._expect()
        for sample in [s for s, due in state.due.items() if due <= state.cycle and s in self._home]:
            event = self._update(self._home[sample], (sample,), Fate.ELIMINATED)
            if event.fate is not Fate.PASSED_OVER:
                del state.due[sample]
            if event.fate is Fate.ELIMINATED:
                state.eliminated.append(sample)
            yield event

    def _batch(self, center: str, batch: tuple[str, ...]) -> Iterator[Event]:
        """Update on a batch; if that is rejected, on its samples one by one."""
        if len(batch) > 1:
            event = self._update(center, batch, Fate.REJECTED)
            yield event
            if event.fate is not Fate.REJECTED:
                return
        for sample in batch:
            event = self._update(center, (sample,), Fate.REVISIT)
            if event.fate is Fate.REVISIT:
                self.state.due[sample] = self.state.cycle + self._options.revisit_after
            yield event
            if event.fate is Fate.PASSED_OVER:
                return

    def _update(self, center: str, samples: tuple[str, ...], otherwise: Fate) -> Event:
        """Train on ``samples``; keep the model if it may, else go back, with the fate ``otherwise``."""
        state, before, errors = self.state, self._learner.state(), {}
        guarded = state.cycle >= self._options.guarded_from
        try:
            stays = True
            if guarded and self._options.trial_steps:
                errors = self._train(center, samples, self._options.trial_steps) | self._verify()
                stays = self._is_usual(errors, center, samples)
                self._learner.restore(before)
            reported = self._train(center, samples) if stays else {}
            if guarded and stays:
                after = self._verify()
                stays = self._is_near(after) and (bool(errors) or self._is_usual(reported | after, center, samples))
                errors = errors or reported | after
                if stays:
                    self._keep(after)
        except CenterUnavailable as reason:
            self._learner.restore(before)
            return Event(state.cycle, center, samples, Fate.PASSED_OVER, note=str(reason))
        if not stays:
            self._learner.restore(before)
        return Event(state.cycle, center, samples, Fate.ACCEPTED if stays else otherwise, errors)

    def _train(self, center: str, samples: tuple[str, ...], steps: int = 0) -> dict[str, float]:
        started = time.perf_counter()
        try:
            reported = self._learner.train(center, samples, steps)
            return {name: value for name, value in reported.items() if name in self._expected}
        finally:
            self.state.seconds_training += time.perf_counter() - started

    def _expect(self) -> None:
        """Ask once a visit what centers may say: the model does not change much in between."""
        asked = self._options.own_loss and self._options.trial_steps and self.state.cycle >= self._options.guarded_from
        self._expected = self._verify(self._learner.expected) if asked else {}

    def _verify(self, how: Callable[[], Errors] | None = None) -> dict[str, float]:
        started = time.perf_counter()
        errors = dict((how or self._learner.verify)())
        self.state.verifications += 1
        self.state.seconds_verifying += time.perf_counter() - started
        return errors

    def _is_usual(self, errors: Errors, center: str, samples: tuple[str, ...]) -> bool:
        """Whether no error rose more than it may, or does elsewhere; one that is no number did."""
        if not all(map(math.isfinite, errors.values())):
            return False
        usual, kind = True, "batch" if len(samples) > 1 else "single"
        for name, value in errors.items():
            rises = self.state.rises.setdefault(f"{name}, {kind}", {})
            others = [rise for sample, rise in rises.items() if self._home.get(sample) != center]
            rise = rises[samples[0]] = value - self.state.reference.get(name, 0.0)
            limit = self._expected.get(name, len(samples) * self._options.tolerance)
            if name not in self._expected and self._options.relative and len(others) >= _ENOUGH:
                limit += max(0.0, outlier_limit(others))
            usual &= rise <= limit
        return usual

    def _is_near(self, errors: Errors) -> bool:
        """Whether no error has drifted too far from the lowest so far."""
        drift = math.inf if self._options.drift is None else self._options.drift
        return all(math.isfinite(e) and e <= self.state.best.get(name, e) + drift for name, e in errors.items())

    def _keep(self, errors: Errors) -> None:
        """Compare with these errors from now on."""
        if not all(map(math.isfinite, errors.values())):
            raise InputError("the model gives NaN or infinite results before any update; start from another one")
        self.state.reference = dict(errors)
        self.state.best = {name: min(value, self.state.best.get(name, value)) for name, value in errors.items()}


def classification_errors(predicted: np.ndarray, truth: np.ndarray, published: bool = False) -> dict[str, float]:
    """False-positive rate and false-negative rate of bool ``[N]``, ``True`` for positive.

    Args:
        published: exchange the denominators, the numbers of negatives and of positives, as the published code does.

    Raises:
        InputError: the verification set lacks one of the classes.
    """
    predicted, truth = np.asarray(predicted, bool), np.asarray(truth, bool)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        lacks = "negatives" if positives else "positives"
        raise InputError(f"the verification set has no {lacks}; it needs both classes")
    if published:
        positives, negatives = negatives, positives
    return {
        "false positive rate": int((predicted & ~truth).sum()) / negatives,
        "false negative rate": int((~predicted & truth).sum()) / positives,
    }
