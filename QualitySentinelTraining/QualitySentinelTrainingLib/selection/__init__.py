"""What to annotate next, and which pseudo labels to trust: active and semi-supervised learning.

A strategy says of each case, structure and slice of a pool how much it needs an annotator (``strategies/``). ``units``
ranks them and spends a budget; ``select`` does so for a pool of files, ``simulate`` for a labelled data set whose
reference plays the annotator; ``pseudo`` trains with the labels that are trusted.
"""
