"""Confident learning: which pixels of given labels are probably wrong, from out-of-sample class probabilities.

Northcutt et al. 2021 (Confident learning, JAIR 70), applied to pixels as Zhang et al. 2020 (MICCAI) do. The results
equal those of ``cleanlab.filter.find_label_issues`` (2.9), which needs all pixels in memory at once; here they come in
blocks, several times over, and memory grows with the number of flagged pixels only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from QualitySentinelLib.errors import InputError

METHODS = ("both", "prune_by_class", "prune_by_noise_rate", "Cij", "Qij", "intersection", "union")
"""``Cij``: pixels off the diagonal of the confident joint (cleanlab's ``confident_learning``). ``Qij`` is ``both``:
by class and by noise rate. ``intersection`` and ``union`` are of ``Cij`` and ``Qij``. (The published script computes
``Cij`` from logits instead of probabilities; that is not reproduced.)"""
_MARGIN = 1e-6
"""A probability so little below its class's threshold still counts as confident (cleanlab's value)."""
_LOWEST_THRESHOLD = 2e-6
"""And no threshold is lower than this (cleanlab's value)."""

Block = tuple[np.ndarray, np.ndarray]
"""Given labels, integers ``[N]`` in 0..K-1, and probabilities, float ``[N, K]``, of the same pixels."""
Blocks = Callable[[], Iterable[Block]]
"""Gives the blocks from the start, always in the same order."""


@dataclass(frozen=True)
class ConfidentJoint:
    """How often pixels of one given label are confidently another class."""

    counts: np.ndarray  # int64 ``[K, K]``: pixels with given label (row) that are confidently of a class (column)
    # the same, rows scaled to the numbers of labels, rounded: the estimated joint of given and true labels, in pixels
    calibrated: np.ndarray
    thresholds: np.ndarray  # float64 ``[K]``: mean probability of a class over the pixels labeled so; 2 without any
    label_counts: np.ndarray  # int64 ``[K]``


def confident_joint(blocks: Blocks, classes: int) -> ConfidentJoint:
    """The confident joint, in two passes over the blocks.

    Raises:
        InputError: there are no pixels, or they all have one label: then nothing can be told of the others.
    """
    from cleanlab.internal.util import round_preserving_row_totals

    sums, label_counts = np.zeros(classes), np.zeros(classes, np.int64)
    for labels, probabilities in blocks():
        own = np.take_along_axis(probabilities, labels[:, None].astype(np.intp), axis=1)[:, 0]
        sums += np.bincount(labels, own.astype(np.float64), classes)
        label_counts += np.bincount(labels, minlength=classes)
    present = label_counts > 0
    if present.sum() < 2:
        raise InputError("the labels hold one class only: label errors are found between at least two")
    thresholds = np.full(classes, 2.0)
    thresholds[present] = np.maximum(sums[present] / label_counts[present], _LOWEST_THRESHOLD)
    counts = np.zeros((classes, classes), np.int64)
    for labels, probabilities in blocks():
        guess = _confident_class(probabilities, thresholds)
        sure = guess >= 0
        pairs = labels[sure].astype(np.int64) * classes + guess[sure]
        counts += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    np.fill_diagonal(counts, counts.diagonal().clip(min=1))
    scaled = counts / counts.sum(axis=1, keepdims=True) * label_counts[:, None]
    calibrated = round_preserving_row_totals(scaled / scaled.sum() * label_counts.sum())
    return ConfidentJoint(counts, calibrated, thresholds, label_counts)


class ErrorFinder:
    """Flags the pixels whose given labels are probably wrong.

    ``least_kept`` pixels of each class are kept at least; the blocks are passed over once, or not at all for ``Cij``.
    Ties at a cutoff are flagged in the order of the blocks until the number is reached: pass the same blocks in the
    same order to :meth:`flags`.
    """

    def __init__(self, blocks: Blocks, joint: ConfidentJoint, method: str = "both", least_kept: int = 5) -> None:
        from cleanlab.filter import _keep_at_least_n_per_class

        self.joint, self.method = joint, "both" if method == "Qij" else method
        # Rows are true classes there: the transpose of the joint.
        prune = _keep_at_least_n_per_class(joint.calibrated.T, n=least_kept, frac_noise=1.0).astype(np.int64)
        self._cutoffs: list[_Cutoff] = []
        classes = range(len(prune))
        for label in classes:
            if joint.label_counts[label] <= least_kept:
                continue
            if self.method != "prune_by_noise_rate" and self.method != "Cij":
                self._add("prune_by_class", label, None, joint.label_counts[label] - prune[label, label])
            if self.method != "prune_by_class" and self.method != "Cij":
                for true in classes:
                    if true != label:
                        self._add("prune_by_noise_rate", label, true, prune[true, label])
        if self._cutoffs:
            for labels, probabilities in blocks():
                for cutoff, _, values in self._values(labels, probabilities):
                    cutoff.add(values)
            for cutoff in self._cutoffs:
                cutoff.finish()

    def flags(self, blocks: Iterable[Block]) -> Iterator[np.ndarray]:
        """Whether each pixel is suspected, bool ``[N]`` for each block."""
        for cutoff in self._cutoffs:
            cutoff.restart()
        for labels, probabilities in blocks:
            found = {part: np.zeros(len(labels), bool) for part in ("prune_by_class", "prune_by_noise_rate")}
            for cutoff, rows, values in self._values(labels, probabilities):
                found[cutoff.part][rows] |= cutoff.takes(values)
            flags = found.get(self.method)
            if flags is None:
                flags = found["prune_by_class"] & found["prune_by_noise_rate"]
            if self.method in ("Cij", "intersection", "union"):
                guess = _confident_class(probabilities, self.joint.thresholds)
                off_diagonal = (guess >= 0) & (guess != labels)
                flags = flags & off_diagonal if self.method == "intersection" else flags | off_diagonal
            yield flags & (probabilities.argmax(axis=1) != labels)

    def _add(self, part: str, label: int, true: int | None, number: int) -> None:
        if number >= 1:
            self._cutoffs.append(_Cutoff(part, label, true, int(number)))

    def _values(
        self, labels: np.ndarray, probabilities: np.ndarray
    ) -> Iterator[tuple[_Cutoff, np.ndarray, np.ndarray]]:
        """What is compared with each cutoff, the smallest being the most suspicious, and the rows that it is of."""
        rows = {label: np.flatnonzero(labels == label) for label in {cutoff.label for cutoff in self._cutoffs}}
        for cutoff in self._cutoffs:
            chosen = rows[cutoff.label]
            own = probabilities[chosen, cutoff.label]
            yield cutoff, chosen, own if cutoff.true is None else own - probabilities[chosen, cutoff.true]


class _Cutoff:
    """The ``number`` most suspicious pixels of a given label, of all or of those that may truly be another class.

    They have the smallest values; the others are not kept.
    """

    def __init__(self, part: str, label: int, true: int | None, number: int) -> None:
        self.part, self.label, self.true, self.number = part, label, true, number
        self._kept, self._held = [np.zeros(0, np.float32)], 0
        self._value, self._ties, self._left = -np.inf, 0, 0

    def add(self, values: np.ndarray) -> None:
        self._kept.append(values)
        self._held += len(values)
        if self._held > 2 * self.number + 65536:
            self.finish()

    def finish(self) -> None:
        """Turn the values into a cutoff, and the number of those equal to it that are still taken."""
        values = np.concatenate(self._kept)
        if len(values) > self.number:
            values = np.partition(values, self.number - 1)[: self.number]
        self._kept, self._held = [values], len(values)
        self._value = values.max(initial=-np.inf)
        self._ties = self._left = int((values == self._value).sum())

    def takes(self, values: np.ndarray) -> np.ndarray:
        """Which of the values are among the smallest, ties by order; bool, the shape of ``values``."""
        taken = values < self._value
        ties = np.flatnonzero(values == self._value)[: self._left]
        taken[ties] = True
        self._left -= len(ties)
        return taken

    def restart(self) -> None:
        self._left = self._ties


def _confident_class(probabilities: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The class that each pixel confidently belongs to, the most probable if several; -1 for none."""
    confident = probabilities >= thresholds - _MARGIN
    number = confident.sum(axis=1)
    guess = np.where(number > 1, probabilities.argmax(axis=1), confident.argmax(axis=1))
    return np.where(number > 0, guess, -1)
