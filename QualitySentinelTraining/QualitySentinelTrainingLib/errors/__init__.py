"""Simulated segmentation errors: from a reference mask to a wrong one whose true DSC is known."""

from .registry import ERRORS
from .simulate import ErrorRecord, simulate
