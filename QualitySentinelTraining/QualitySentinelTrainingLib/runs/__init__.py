"""Work over many items that can be stopped at any moment and resumed: :class:`Run`; see docs/HOW_TO_ADD.md."""

from .record import DONE, FAILED, Record
from .run import Kind, Plan, Run, Shard, Throttle
from .work import Finished, Result, Work
