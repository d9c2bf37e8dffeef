"""New subjects from few: the anatomy deformed, on another grid, with other contrast, seen by another scanner.

What comes out keeps its person: it must never be tested on when its source was trained on.
"""

from .crop import cropped_subject
from .from_labels import painted_subject
from .make import synthetic_subject
from .options import SynthesisOptions
