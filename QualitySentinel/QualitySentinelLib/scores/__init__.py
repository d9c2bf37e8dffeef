"""Layer 6: the results of scoring as plain data, their aggregation and flags, and their tables."""

from ..colors import dsc_color
from ..options import DEFAULT_THRESHOLD
from .aggregation import AGGREGATIONS, DEFAULT_AGGREGATION, aggregate
from .report_json import (
    case_document,
    case_from_document,
    read_report_document,
    read_report_json,
    software_versions,
    write_report_json,
)
from .score import CaseScore, Progress, SegmentScore, SliceScore, Stage, Status, flag, segment_labels
from .tables import write_table
