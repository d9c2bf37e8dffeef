"""Layer 9, outside Slicer: the review of one case as a local web page, with Slicer's own slice views in it.

Needs the extra ``review`` (trame, trame-slicer). Rooms below know nothing of the page; ``guard.py``,
``review_store.py`` and ``controller.py`` know nothing of trame.
"""
