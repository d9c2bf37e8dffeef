"""Layer 3: from (CT, segment, slice) to the network's input tensors, batched on the device.

One implementation serves scoring and training: :func:`make_batch` (volumes and segments) and :func:`prepare` (plain
planes) share the crop, the resampling and the intensity windows that a :class:`Preset` describes.
"""

from .batch import PlaneCrop, SliceBatch, coverage, crop_plane, make_batch, neighbour_strength, prepare
from .preset import COMPACT, PUBLISHED, Preset, Window
