"""Layer 9, beside ``QualitySentinel.py`` (needs ``qt`` and ``slicer``): the parts of the module's panel.

The panel is a view of a :class:`~..review.ReviewSession`: what a reader clicks becomes an action of the session, and
what the session tells is drawn. Scores, accepts and the slice that is looked at are kept nowhere else. ``ui`` has the
widgets of the ``.ui`` file by name.
"""
