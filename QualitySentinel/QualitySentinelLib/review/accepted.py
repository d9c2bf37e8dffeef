"""The slices that a reader accepted, with undo and redo."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from .cases import SliceRef

HISTORY_LIMIT = 100
"""Steps that can be undone; the oldest are forgotten first."""


class AcceptedSlices:
    """Accepted slices, each with the digest of the mask that was accepted, as they are and as they were.

    Two states after each other differ, so that undoing or redoing a step always changes something. The ``digests``
    that it begins with are not to be undone.
    """

    def __init__(self, digests: Mapping[SliceRef, str] | None = None) -> None:
        self._states, self._at = [dict(digests or {})], 0

    def __contains__(self, ref: object) -> bool:
        return ref in self._states[self._at]

    @property
    def digests(self) -> dict[SliceRef, str]:
        """The accepted slices and the digests of their masks, in the order they were accepted; a copy."""
        return dict(self._states[self._at])

    @property
    def can_undo(self) -> bool:
        return self._at > 0

    @property
    def can_redo(self) -> bool:
        return self._at < len(self._states) - 1

    def accept(self, digests: Mapping[SliceRef, str]) -> tuple[SliceRef, ...]:
        """Accept these slices in one step; returns those that were not accepted before."""
        return self._do(self.digests | _without(digests, self))

    def unaccept(self, refs: Iterable[SliceRef]) -> tuple[SliceRef, ...]:
        """Take back the accept of these slices in one step; returns those that were accepted before."""
        return self._do(_without(self.digests, set(refs)))

    def undo(self) -> tuple[SliceRef, ...]:
        """Undo the last step; returns the slices that it changes, none when there is no step."""
        return self._go(-1) if self.can_undo else ()

    def redo(self) -> tuple[SliceRef, ...]:
        """Redo the step undone last; returns the slices that it changes, none when there is no step."""
        return self._go(1) if self.can_redo else ()

    def forget(self, is_stale: Callable[[SliceRef, str], bool]) -> tuple[SliceRef, ...]:
        """Drop what was said of masks that are no more, from the accepts and from the history.

        ``is_stale`` says whether a slice's mask is another than that of the digest. Returns the slices that were
        accepted and are not any more.
        """
        before, at, states = self.digests, self._at, self._states
        stale = {pair for pair in {pair for state in states for pair in state.items()} if is_stale(*pair)}
        self._states = []
        for number, state in enumerate(states):
            state = {ref: digest for ref, digest in state.items() if (ref, digest) not in stale}
            if not self._states or state.keys() != self._states[-1].keys():
                self._states.append(state)
            if number == at:
                self._at = len(self._states) - 1
        return tuple(ref for ref in before if ref not in self)

    def _do(self, state: dict[SliceRef, str]) -> tuple[SliceRef, ...]:
        if state.keys() == self._states[self._at].keys():
            return ()
        self._states[self._at + 1 :] = [state]
        changed = self._go(1)
        del self._states[: -HISTORY_LIMIT - 1]
        self._at = len(self._states) - 1
        return changed

    def _go(self, step: int) -> tuple[SliceRef, ...]:
        before = self._states[self._at].keys()
        self._at += step
        return tuple(sorted(before ^ self._states[self._at].keys()))


def _without(digests: Mapping[SliceRef, str], refs) -> dict[SliceRef, str]:
    return {ref: digest for ref, digest in digests.items() if ref not in refs}
