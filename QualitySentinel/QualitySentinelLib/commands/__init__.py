"""Layer 8b: the command line. One module per command, each with ``add_parser`` and ``run``."""
