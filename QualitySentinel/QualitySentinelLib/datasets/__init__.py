"""Layer 8c: the cases of a data set in any layout, read one at a time, and split into folds by patient.

Example::

    data = find_cases(Path("TotalSegmentator_v2"))
    folds = fold_of({case.patient or case.name: data.name for case in data.cases})  # by patient
    for case in data.cases:
        ct, segmentation = read_case(case)
"""

from .case import Case, DataSet, fingerprint, read_case, read_case_ct, read_reference
from .find import find_cases
from .folds import fold_of
from .layouts import LAYOUTS
