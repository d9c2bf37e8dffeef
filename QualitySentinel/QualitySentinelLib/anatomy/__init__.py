"""Anatomy: the structures we know, their names in common label sets, their terminology codes, and matching.

Standard library only; the table (``structures.csv``) is read at first use.
"""

from .matching import match_structure
from .published import published_class_id
from .structures import Code, Structure, all_structures, structure_named

__all__ = ["Code", "Structure", "all_structures", "match_structure", "published_class_id", "structure_named"]
