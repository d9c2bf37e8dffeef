"""Simulated segmentation errors: from a reference mask to a wrong one whose true DSC is known.

The modules of errors are imported in the order in which their errors are drawn.
"""

from . import boundary, parts, place
from .case import Case
from .registry import ERRORS
from .simulate import ErrorRecord, simulate
