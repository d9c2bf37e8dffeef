"""Needs ``slicer`` when called. A scene that was saved while a segment was shown alone shows all of them when loaded.

Maps of the one segment go, too, until the panel draws them anew: it knows from the scene that they are wanted.

Slicer does not tell before it saves (``vtkMRMLScene::StartSaveEvent`` exists, but nothing in Slicer invokes it), so
that what is saved is what is seen; what was visible before is saved beside it. This runs from Slicer's start: other
parts of the library are imported only for a scene that needs it.
"""

from __future__ import annotations

_OURS = "QualitySentinel."
_FIRST = 1.0
"""Priority of the observers: a panel that is open takes up its review afterwards, and hides segments again."""


class LoadedScenes:
    """Makes visible what the user had made visible, in segmentations that come with a scene or a scene view.

    Segmentations in which a segment was shown alone before that, by a panel that is open, stay as they are. The scene
    is watched until :meth:`remove`; what is in it already counts as loaded.
    """

    def __init__(self, scene) -> None:
        self._scene = scene
        self._before: set[str] = set()
        starts, ends = (scene.StartImportEvent, scene.StartRestoreEvent), (scene.EndImportEvent, scene.EndRestoreEvent)
        self._tags = [scene.AddObserver(event, self._on_start, _FIRST) for event in starts]
        self._tags += [scene.AddObserver(event, self._on_end, _FIRST) for event in ends]
        self._on_end()

    def remove(self) -> None:
        """Watch no longer. May be called more than once."""
        tags, self._tags = self._tags, []
        for tag in tags:
            self._scene.RemoveObserver(tag)

    def _on_start(self, *_) -> None:
        self._before = {node.GetID() for node in _marked() if _alone(node)}

    def _on_end(self, *_) -> None:
        before, self._before = self._before, set()
        for node in _marked():
            if _alone(node) and node.GetID() not in before:
                from ..scene.quality_map import hide_quality_map
                from ..scene.quality_surface import hide_quality_surface
                from ..scene.views import show_all

                for take_back in (hide_quality_map, hide_quality_surface, show_all):
                    take_back(node)  # maps show what was alone, and hide the fill of what was not


def _marked() -> list:
    """Segmentations whose display node says anything of ours."""
    import slicer

    nodes = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    displays = [(node, node.GetDisplayNode()) for node in nodes if node.GetDisplayNode() is not None]
    return [n for n, d in displays if any(name.startswith(_OURS) for name in d.GetAttributeNames() or ())]


def _alone(node) -> bool:
    from ..scene.views import one_shown

    return one_shown(node)
