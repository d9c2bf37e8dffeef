"""How long something will take, as people say it."""

from __future__ import annotations

from slicer.i18n import tr as _

STEADY_SECONDS = 2.0
"""Before so much time has passed, nothing is said of the rest: the first steps are not like the others."""


def time_left(done: int, total: int, seconds: float) -> str:
    """About how long the rest takes, or nothing where that cannot be said yet.

    Args:
        done, total: steps done, and to do.
        seconds: what those done took.
    """
    if not done or seconds < STEADY_SECONDS or done >= total:
        return ""
    left = seconds / done * (total - done)
    if left < 55:
        return _("about {seconds} s left").format(seconds=max(5, round(left / 5) * 5))
    return _("about {minutes} min left").format(minutes=max(1, round(left / 60)))
