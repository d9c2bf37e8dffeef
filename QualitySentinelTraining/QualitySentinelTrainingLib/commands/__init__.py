"""The training library's part of the ``quality-sentinel`` command line."""
