"""Reports on many cases: HTML pages, charts as inline SVG, CSV tables. Every report of the training library is one."""

from QualitySentinelLib.scores.tables import write_table

from .charts import Line, line_chart
from .page import Section, write_report
