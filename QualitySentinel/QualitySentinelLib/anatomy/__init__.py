"""Anatomy: the structures we know, their names in common label sets, their terminology codes, matching, CT windows.

Standard library only; the table (``structures.csv``) is read at first use.
"""

from .matching import match_structure
from .structures import Code, Structure, all_structures, structure_named
from .windows import WINDOW_PRESETS, WindowPreset, window_of
