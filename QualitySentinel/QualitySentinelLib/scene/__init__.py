"""Layer 8a (needs ``slicer`` and ``vtk``): MRML nodes to arrays, and scores back to colours, tags and tables.

Nothing here needs torch, Qt or the application: the scene and its logics are enough.
"""

from .colors import restore_colors, score_colors_shown, show_score_colors
from .ct_node import ct_from_node
from .segmentation_node import segmentation_from_node
from .source import source_of
from .tables import update_tables
from .tags import remove_score_tags, write_score_tags
from .world import volume_to_world

__all__ = [
    "ct_from_node",
    "remove_score_tags",
    "restore_colors",
    "score_colors_shown",
    "segmentation_from_node",
    "show_score_colors",
    "source_of",
    "update_tables",
    "volume_to_world",
    "write_score_tags",
]
