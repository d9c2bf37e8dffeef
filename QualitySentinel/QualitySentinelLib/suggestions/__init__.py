"""Layer 5: where a mask seems to be wrong, and what it would be if it were right: plain arrays, no torch.

The network that scores a slice draws the reference that it expects. :class:`Drawing` is that drawing, as small as the
network made it; :func:`error_map` puts it on the CT's grid, :func:`islands` gathers what should be removed or added.
"""

from .drawing import Drawing, Drawings
from .error_map import DEFAULT_THRESHOLD, ErrorMap, Kind, error_map, error_maps
from .islands import COLORS, EXPECTED_COLOR, Island, changed_segment, islands, suggested_segments
