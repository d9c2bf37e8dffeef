"""How good a model is: the evaluation table, its figures, series, pictures and files.

``Evaluated`` is the table; :mod:`.run` makes it, :mod:`.figures` measures it, :mod:`.external`, :mod:`.disagreement`,
:mod:`.slices_per_mask` and :mod:`.data_amount` are the experiments, :mod:`.report` writes all of it.
"""

from ..stats import agreement
from .evaluated import Evaluated, Segments

__all__ = ["Evaluated", "Segments", "agreement"]
