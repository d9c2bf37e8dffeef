"""The report of an audit: pages to read and work lists."""

from .write import write_audit_report
