"""Something that is done now and then while a run goes on, such as writing the tables of what is finished."""

from __future__ import annotations

import time
from collections.abc import Callable

from QualitySentinelLib.errors import InputError

_LEAST_SECONDS = 10.0
_TIMES_ITS_OWN = 20
"""Writing the tables of 100,000,000 slices takes minutes: it may cost this part of a run, no more."""


class Throttle:
    """Calls a function the first time it is asked to, then when some time has passed.

    An :class:`InputError` of the function is ignored: on Windows, a spreadsheet may hold a table open. What is wrong
    for good shows at the end of the run.
    """

    def __init__(self, function: Callable[[], object]) -> None:
        self._function, self._due = function, 0.0

    def __call__(self) -> None:
        """Call the function, unless that was done a short time ago."""
        began = time.monotonic()
        if began < self._due:
            return
        try:
            self._function()
        except InputError:
            pass
        now = time.monotonic()
        self._due = now + max(_LEAST_SECONDS, _TIMES_ITS_OWN * (now - began))
