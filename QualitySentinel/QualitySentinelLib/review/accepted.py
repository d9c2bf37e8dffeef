"""The slices that a reader accepted, with undo and redo."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .refs import SliceRef

HISTORY_LIMIT = 100
"""Steps that can be undone; the oldest are forgotten first."""


@dataclass(frozen=True)
class _Step:
    """Slices accepted, or unaccepted, at once, with the digests of their masks."""

    accepted: bool
    digests: dict[SliceRef, str]


class AcceptedSlices:
    """Accepted slices, each with the digest of the mask that was accepted.

    Every step of the history changed all of its slices, so that undoing or redoing it always changes something.

    Args:
        digests: what is accepted from the start; not to be undone.
        limit: how many steps can be undone.
    """

    def __init__(self, digests: Mapping[SliceRef, str] | None = None, limit: int = HISTORY_LIMIT) -> None:
        self._digests = dict(digests or {})
        self._limit = limit
        self._done: list[_Step] = []
        self._undone: list[_Step] = []

    def __contains__(self, ref: object) -> bool:
        return ref in self._digests

    def __len__(self) -> int:
        return len(self._digests)

    @property
    def digests(self) -> dict[SliceRef, str]:
        """The accepted slices and the digests of their masks, in the order they were accepted; a copy."""
        return dict(self._digests)

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to redo."""
        return bool(self._undone)

    def accept(self, digests: Mapping[SliceRef, str]) -> tuple[SliceRef, ...]:
        """Accept these slices in one step; returns those that were not accepted before."""
        return self._do(_Step(True, {ref: digest for ref, digest in digests.items() if ref not in self._digests}))

    def unaccept(self, refs: tuple[SliceRef, ...]) -> tuple[SliceRef, ...]:
        """Take back the accept of these slices in one step; returns those that were accepted before."""
        return self._do(_Step(False, {ref: self._digests[ref] for ref in refs if ref in self._digests}))

    def undo(self) -> tuple[SliceRef, ...]:
        """Undo the last step; returns the slices that it changes, none when there is no step."""
        if not self._done:
            return ()
        step = self._done.pop()
        self._undone.append(step)
        return self._apply(step, backwards=True)

    def redo(self) -> tuple[SliceRef, ...]:
        """Redo the step undone last; returns the slices that it changes, none when there is no step."""
        if not self._undone:
            return ()
        step = self._undone.pop()
        self._done.append(step)
        return self._apply(step)

    def forget(self, is_stale: Callable[[SliceRef, str], bool]) -> tuple[SliceRef, ...]:
        """Drop what was said of masks that are no more, from the accepts and from the history.

        Args:
            is_stale: whether the slice's mask is another than that of the digest.

        Returns:
            the slices that were accepted and are not any more.
        """
        lost = tuple(ref for ref, digest in self._digests.items() if is_stale(ref, digest))
        for ref in lost:
            del self._digests[ref]
        for history in (self._done, self._undone):
            kept = [
                _Step(step.accepted, {ref: digest for ref, digest in step.digests.items() if not is_stale(ref, digest)})
                for step in history
            ]
            history[:] = [step for step in kept if step.digests]
        return lost

    def _do(self, step: _Step) -> tuple[SliceRef, ...]:
        if not step.digests:
            return ()
        self._done.append(step)
        del self._done[: -self._limit]
        self._undone.clear()
        return self._apply(step)

    def _apply(self, step: _Step, backwards: bool = False) -> tuple[SliceRef, ...]:
        if step.accepted is not backwards:
            self._digests.update(step.digests)
        else:
            for ref in step.digests:
                del self._digests[ref]
        return tuple(step.digests)
