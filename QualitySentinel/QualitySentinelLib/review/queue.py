"""A list of ``select`` as a queue: which row comes next, what is done, what goes back to the pool.

Beside the list lie ``done.csv`` and ``back_to_pool.csv``, with the list's own columns, and the folder ``corrected``.
``select --done done.csv`` leaves out what is done. Unlike the rest of the room, this knows ``datasets/``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import ExitStack, suppress
from enum import StrEnum
from pathlib import Path, PurePath
from typing import Any

from ..datasets.case import Case
from ..datasets.pool import LIST_COLUMNS, ListRow, cases_with_masks, corrected_file, read_list, with_corrections
from ..errors import CancelledError, InputError, QualitySentinelError, command_text, one_line
from ..files import check_outside, locked_folder
from ..scores.tables import write_table
from .presenter import Action


class State(StrEnum):
    """What has become of a row."""

    OPEN = "open"
    DONE = "done"
    BACK = "back to the pool"


FILES = {State.DONE: "done.csv", State.BACK: "back_to_pool.csv"}
"""Where the rows of a state are kept; what is in none of them is open."""
_STATES = {"mark_done": State.DONE, "back_to_pool": State.BACK}


class ReviewQueue:
    """A list that one person works through, as a view shows it; the rows of a case come together.

    Every view alike carries out what :meth:`act` asks for, and then draws this anew. ``predictions`` is a folder of
    masks, where they are not in the pool.

    Raises:
        InputError: the list, the pool or what was kept of them cannot be read.
        UsageError: somebody else works through the list, it lies in the pool, or the pool's layout is not clear.
    """

    ACTIONS = ("previous_case", "next_case", "mark_done", "back_to_pool")  # what a view offers

    def __init__(
        self, path: Path, pool: Path, predictions: Path | None = None, layout: str | None = None,
        names: str | None = None, _: Callable[[str], str] = str,
    ) -> None:  # fmt: skip
        self.path, self._tr = Path(path), _
        given = {"--predictions": predictions, "--layout": layout, "--names": names}
        self._given = [pool, *(word for option in given.items() if option[1] for word in option)]
        check_outside(self.path.parent, pool)
        rows = list({row.unit: row for row in read_list(self.path)}.values())  # once each
        if not rows:
            raise InputError(f"{path}: lists no case; select with a larger budget")
        self._cases = list(dict.fromkeys(row.case for row in rows))
        self.rows = sorted(rows, key=lambda row: self._cases.index(row.case))
        self._found = cases_with_masks(Path(pool), predictions, layout, names)
        lacking = _("is in the list but not in {pool}; give the pool of this list").format(pool=pool)
        self.problems = {name: lacking for name in self._cases if name not in self._found}
        outside = _("has a name that leads out of the folder of the list; rename it in the pool's manifest")
        paths = {name: PurePath(name) for name in self._cases}
        self.problems |= {name: outside for name, path in paths.items() if path.anchor or ".." in path.parts}
        self.current: ListRow | None = None  # the row that is looked at; none before the first and after the last
        self.opened = ""  # the case that the view shows
        with ExitStack() as stack:
            stack.enter_context(locked_folder(self.path.parent, _("its list is open elsewhere; close it there first")))
            self._states = {row.unit: state for state in reversed(FILES) for row in self._kept(state)}
            self._lock = stack.pop_all()

    def close(self) -> None:
        """Let others work through the list."""
        self._lock.close()

    @property
    def case(self) -> Case | None:
        """The case of the current row, not yet read; with its corrected masks, if there are some."""
        return None if self.current is None else with_corrections(self._found[self.current.case], self.path)

    @property
    def corrected(self) -> Path:
        """Where the masks of the current case go when they are done; never into the pool."""
        return corrected_file(self.path, self.current.case)

    def state(self, row: ListRow) -> State:
        """What has become of a row."""
        return self._states.get(row.unit, State.OPEN)

    # What the reader does

    async def act(self, action: str, do: Callable[[str, Any], Awaitable[object]]) -> None:
        """Do an action of :attr:`ACTIONS`; what the view has to do for it is awaited, ``do(what, of)``.

        That is ``("save", file)``: write the masks that are shown; ``("open", case)`` in place of the one before; and
        ``("look", row)``: go to its structure and slice, or close the case when it is ``None``. A case that cannot be
        opened is passed over; with ``CancelledError``, or an error that nobody expects, nothing moves.
        """
        before, state, back = self.current, _STATES.get(action), action == "previous_case"
        if state is not None:
            if before is None:
                return
            taken_back = self.state(before) is state
            if state is State.DONE and not taken_back:
                await do("save", self.corrected)
            self.mark(state)
            if taken_back:
                return
        while (row := self.step(back)) is not None and row.case != self.opened:
            try:
                await do("open", self.case)
                self.opened = row.case
                break
            except CancelledError:
                self.current = before
                return
            except QualitySentinelError as error:
                self.problems[row.case] = one_line(error)
                if back and not self._before():
                    self.current = before
                    return
            except Exception:
                self.current = before  # or the masks that are shown would be saved as those of another case
                raise
        await do("look", row)

    def step(self, back: bool = False) -> ListRow | None:
        """Look at the next open row, after the last at the first; or at the row before, whatever its state."""
        if back:
            ahead = self._before()
        else:
            at = 0 if self.current is None else self.rows.index(self.current) + 1
            ahead = [row for row in self.rows[at:] + self.rows[:at] if self.state(row) is State.OPEN]
        found = next((row for row in ahead if row.case not in self.problems), None)
        if found is not None or not back:
            self.current = found
        return self.current

    def mark(self, state: State) -> None:
        """Give the current row a state, at once on the disk; one that it has already: it is open again.

        Raises:
            InputError: the folder cannot be written.
        """
        row = self.current
        state = State.OPEN if self.state(row) is state else state
        for each, name in FILES.items():
            before = self._kept(each)
            after = [kept for kept in before if kept.unit != row.unit] + [row] * (each is state)
            if after != before:
                write_table(self.path.with_name(name), LIST_COLUMNS, after)
        self._states[row.unit] = state

    # What is shown

    def actions(self) -> dict[str, Action]:
        """Every action of :attr:`ACTIONS` as it is now."""
        _, row = self._tr, self.current
        state = State.OPEN if row is None else self.state(row)
        anything = any(r != row and self.state(r) is State.OPEN and r.case not in self.problems for r in self.rows)
        none = _("Open a case of the list first")
        states = {
            "previous_case": (_("Previous"), bool(self._before()), _("This is the first one")),
            "next_case": (_("Open next"), anything, _("No other case is open")),
            "mark_done": (_("Not done") if state is State.DONE else _("Done"), row is not None, none),
            "back_to_pool": (_("Take again") if state is State.BACK else _("Back to pool"), row is not None, none),
        }
        return {name: Action(text, can, "" if can else reason) for name, (text, can, reason) in states.items()}

    @property
    def place(self) -> str:
        """Which case is looked at, and why; what has become of the list when it is worked through."""
        _, row = self._tr, self.current
        if row is None:
            return self.counts
        texts = [_("Case {number} of {total}").format(number=self._cases.index(row.case) + 1, total=len(self._cases))]
        texts += [row.structure] * bool(row.structure)
        texts += [] if row.slice_index is None else [_("slice {index}").format(index=row.slice_index)]
        return " · ".join([*texts, row.reason or row.case, *([_(str(s))] if (s := self.state(row)) != "open" else [])])

    @property
    def counts(self) -> str:
        """How many rows are done, back in the pool and open."""
        _, number = self._tr, Counter(map(self.state, self.rows))
        text = _("{done} done, {back} back to the pool, {open} open")
        return text.format(done=number[State.DONE], back=number[State.BACK], open=number[State.OPEN])

    @property
    def passed_over(self) -> list[str]:
        """Cases that were passed over, and why; one line each."""
        return [self._tr("{case}: {reason}").format(case=name, reason=why) for name, why in self.problems.items()]

    @property
    def next_command(self) -> str:
        """The command that begins the next round."""
        unit = "cases" if self.rows[0].slice_index is None else "slices"
        done, out = self.path.with_name(FILES[State.DONE]), self.path.absolute().parent
        words = ["select", *self._given, "--budget", f"{len(self.rows)}{unit}", *(["--done", done] * done.is_file())]
        return command_text("quality-sentinel", *words, "--out", out.with_name(f"{out.name}_next"))

    # Within

    def _before(self) -> list[ListRow]:
        at = len(self.rows) if self.current is None else self.rows.index(self.current)
        return [row for row in reversed(self.rows[:at]) if row.case not in self.problems]

    def _kept(self, state: State) -> list[ListRow]:
        path = self.path.with_name(FILES[state])
        return read_list(path) if path.is_file() else []


def run_now(acting: Coroutine[Any, Any, None]) -> None:
    """Do a :meth:`ReviewQueue.act` whose view does not wait for anything."""
    with suppress(StopIteration):
        acting.send(None)
