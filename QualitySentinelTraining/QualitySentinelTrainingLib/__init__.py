"""The training companion: phantoms, simulated errors, pairs, training and evaluation. Needs the ``training`` extra."""
