"""How good a model is: :mod:`.table` holds what is evaluated, :mod:`.run` makes it, :mod:`.figures` measures it, and
:mod:`.report` writes all of it with :mod:`.pictures`.
"""

from .table import EvaluationTable
