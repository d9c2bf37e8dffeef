"""New subjects from few: the anatomy deformed, on another grid, with other contrast, seen by another scanner.

What comes out keeps its patient: it must never be tested on when its source was trained on.
"""

from .from_labels import painted_sources, painted_subject
from .make import SynthesisOptions, cropped_subject, made_sources, synthetic_subject
