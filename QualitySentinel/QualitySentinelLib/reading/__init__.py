"""Layer 8b: files in. A CT and its segmentation, in any common format, as arrays in the canonical axial frame."""

from .ct import read_ct
from .segmentation import read_segmentation
