"""The layouts of data sets: how each is recognised, and where it keeps its cases."""

from .find import LAYOUTS, find_cases

__all__ = ["LAYOUTS", "find_cases"]
