"""Layer 2: a CT and its masks as arrays in the canonical axial frame. Knows nothing of files, torch or MRML.

Conventions, for the whole project: arrays are indexed ``[k, j, i]`` (slice, row, column; the slowest index
first, as SimpleITK and Slicer give them). In the *canonical axial frame* k runs from inferior to superior,
j from anterior to posterior and i from the patient's right to the left, so that ``array[k]`` is an axial
slice as a radiologist sees it on a screen. Affines are 4x4, map ``(i, j, k, 1)`` to RAS millimeters.
"""

from .frame import AxialFrame, CtVolume
from .segmentation import Box, Segment, Segmentation
