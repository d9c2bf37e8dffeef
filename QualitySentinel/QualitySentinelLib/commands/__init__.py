"""Layer 8b: the command line. One module per command; ``main._add_command`` says what it holds."""
