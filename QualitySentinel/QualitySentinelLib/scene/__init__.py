"""Layer 8a (needs ``slicer`` and ``vtk``): MRML nodes to arrays, and scores back to colors, tags and tables.

Nothing here needs torch, Qt or the application: the scene and its logics are enough.
"""

from .colors import hide_legend, restore_colors, show_legend, show_score_colors
from .ct_node import add_ct, ct_from_node
from .edits import SegmentationEdits
from .flag_marks import FlagMarks
from .kept_review import keep_review, keep_review_steps, kept_review
from .nodes import source_of, volume_to_world
from .plots import update_plot
from .quality_map import hide_quality_map, quality_map_shown, show_quality_map, update_quality_map
from .quality_surface import hide_quality_surface, show_quality_surface
from .scoring import rescore, score_steps
from .segmentation_node import add_segmentation, segmentation_from_node
from .tables import update_tables
from .tags import write_score_tags
from .views import jump_to_slice, one_shown, segment_center, show_all, show_only
