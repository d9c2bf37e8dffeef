"""Needs trame. The page: what the browser shows, and what its buttons call. Everything it says is in the controller."""

from __future__ import annotations

import asyncio
from operator import attrgetter
from pathlib import Path

from trame_client.ui.html import DivLayout

from ..anatomy import WINDOW_PRESETS
from ..colors import SCALES, check_scale
from ..errors import QualitySentinelError
from ..review import ReviewPresenter
from ..review.suggesting import SuggestionPresenter
from ..scene import SegmentationEdits, add_ct, add_segmentation, hide_quality_map, show_all, show_only
from ..scene.errors import ErrorViews
from ..scene.nodes import remove_node, remove_with_results
from ..scene.segmentation_node import segmentation_steps
from ..volume import Segment
from ..volume.segmentation import chosen_segments
from .controller import ReviewController
from .display import Display
from .editing import Editing
from .queue_run import QueueRun
from .views import CaseViews, start_scene

_FILES = Path(__file__).with_name("page")
_PAINT_SECONDS = 1.0
"""While scoring, masks are not colored anew more often."""
_ACTIONS = {
    "": ("go_to", "step", "alone", "color_scale", "fit", "zoom", "tool"),
    "_presenter.": ("select", *ReviewPresenter.ACTIONS),
    "_suggestions.": SuggestionPresenter.ACTIONS,
    "_display.": ("use_window", "toggle_masks", "use_masks", "use_opacity", "step_opacity", "use_colors"),
    "_editing.": ("set_brush", "undo_edit"),
    "review.": ("score", "start_export"),
    "review.session.": ("set_threshold",),
    "review.scoring.": ("cancel",),
    "_queue.": ("act_on_list",),
}
"""What the buttons and keys of the page call, by whose it is."""


class ReviewPage:
    """Connects the review, the scene and the page, which calls the case ``name``; ``queue`` is the list that it is of.

    ``review`` is the one under review now. To be made inside the running event loop, before the server starts.
    """

    def __init__(self, server, review: ReviewController, name: str, queue: QueueRun | None = None) -> None:
        self._server, self._queue = server, queue
        self._loop = asyncio.get_running_loop()
        self._alone = self._zoomed = False
        self._visible = 0
        self._drawing: asyncio.Handle | None = None
        self.review: ReviewController | None = None
        self._app = start_scene()
        self._views = CaseViews(server, self._app, self._scrolled)
        self.open(review, name)
        self._build()

    def open(self, review: ReviewController, name: str) -> None:
        """Show a case, in place of the one before."""
        look = {} if self.review is None else self._leave(review.presenter)
        self.review, self._presenter = review, review.presenter
        self._shown: tuple = ()
        self._painted = 0.0
        self._volume_node = add_ct(review.ct)
        self._views.show_ct(review.ct, self._volume_node)
        self._segmentation_node = add_segmentation(
            review.segmentation, self._app.segmentation_editor.load_segmentation_from_file
        )
        self._edits = SegmentationEdits(self._segmentation_node, review.masks_edited)
        self._display = Display(self._volume_node, self._segmentation_node, self._presenter, self._draw_soon)
        vars(self._display).update(look)
        self._editing = Editing(self._app, self._segmentation_node, self._volume_node, self._draw_soon)
        frame = review.ct.frame
        self._suggestions = None if review.drawings is None else SuggestionPresenter(
            review.session, review.drawings, lambda i: review.segmentation[i], frame.shape, frame.spacing,
            self._editing.history.change,
        )  # fmt: skip
        self._errors = None if self._suggestions is None else ErrorViews(
            self._segmentation_node, self._volume_node, review.session, self._suggestions, review.find_errors
        )  # fmt: skip
        self._island: tuple[int, int, int] | None = None
        self._views.drag_window(True)
        review.changed, review.read_masks = self._draw_soon, self._read
        review.session.observe(lambda _event: self._follow())
        told = {"case_name": name, "folder": str(review.store.folder), "flat": self._views.is_flat}
        self._server.state.update(told | {"trame__title": f"{name} - Quality Sentinel"})
        self._follow()
        self._draw()

    def _leave(self, presenter: ReviewPresenter) -> dict[str, object]:
        """Take the case out of the scene; ``presenter``, of the next one, gets its colors. Returns how masks look."""
        self.review.rescoring.forget()  # strokes while it was closed: what it reads is the next case from here on
        presenter.scale = self._presenter.scale
        self._editing.use("", None)
        self._edits.remove()
        hide_quality_map(self._segmentation_node)
        remove_with_results(self._segmentation_node)
        remove_node(self._volume_node)
        return {name: getattr(self._display, name) for name in ("masks", "opacity", "colors")}

    def _build(self) -> None:
        server = self._server
        server.enable_module(
            {
                "serve": {"quality_sentinel": str(_FILES)},
                "scripts": ["quality_sentinel/keys.js"],
                "styles": ["quality_sentinel/style.css"],
            }
        )
        windows = [preset.name for preset in WINDOW_PRESETS]
        server.state.update({"trame__favicon": None, "windows": windows, "scales": list(SCALES)})
        with DivLayout(server, classes="review") as layout:
            layout.root.add_child((_FILES / "page.html").read_text(encoding="utf-8"))
        for owner, names in _ACTIONS.items():
            if not owner or attrgetter(owner.rstrip("."))(self) is not None:
                for name in names:
                    server.controller.trigger(name)(self._guarded(attrgetter(owner + name)))

    def _guarded(self, action):
        """What an action refuses is told on the page. Arguments come from a browser: more than wanted are an error."""

        def run(*arguments):
            try:
                action(self)(*arguments)
            except (QualitySentinelError, TypeError, ValueError) as error:
                self.review.tell(str(error), "error")
            self._draw_soon()

        return run

    # What the buttons call

    def go_to(self, k: int) -> None:
        self._presenter.go_to(k)
        self._follow()  # the same slice again: the view may have been scrolled away

    def look_at(self, structure: str, slice_index: int | None) -> None:
        """Look at a structure, if there is one of that name, and at a slice by the file's own number."""
        review = self.review
        k = None if slice_index is None else review.ct.frame.file_slice(slice_index)
        named = chosen_segments(review.segmentation, [structure], lacking=[]) if structure else []
        if named and k is not None:
            review.session.go_to(named[0], k)
        elif named:
            self._presenter.select(named[0])
        elif k is not None:
            self._views.jump(k, None)

    def step(self, slices: int) -> None:
        """Scroll the axial view upwards, or downwards."""
        if self._views.k is not None:
            self._views.jump(self._views.k + int(slices), None)

    def alone(self, alone: bool | None = None) -> None:
        """Show the selected segment only, or all; by default the other of both."""
        self._alone = not self._alone if alone is None else bool(alone)
        self._show_segments()

    def color_scale(self, name: str) -> None:
        """Show each predicted DSC in the colors of this scale."""
        check_scale(name)
        self._presenter.scale = name

    def fit(self) -> None:
        self._zoomed = False
        self._views.show_whole()

    def zoom(self) -> None:
        """Show the selected segment large, and those selected after it; or the whole CT again."""
        self._zoomed = not self._zoomed
        if self._zoomed:
            self._zoom()
        else:
            self.fit()

    def tool(self, tool: str) -> None:
        """Take the brush or the eraser; the same once more puts it down."""
        self._editing.use("" if tool == self._editing.tool else tool, self.review.session.selected)
        self._views.drag_window(not self._editing.tool)

    # Scene

    def _follow(self) -> None:
        """Let the views show what the session looks at."""
        session = self.review.session
        now = (session.current, session.selected)
        if now[1] != (self._shown[1] if self._shown else None):
            self._show_segments()
            if now[1] is not None:
                self._display.look_in(self._presenter.window)
                if self._zoomed:
                    self._zoom()
            if self._editing.tool:
                self._editing.use(self._editing.tool, session.selected)
        self._shown = now
        if session.current is not None and session.current.k != self._views.k:
            self._views.jump(session.current.k, self.review.segmentation[session.current.segment_id])

    def _zoom(self) -> None:
        selected = self.review.session.selected
        if selected is not None:
            self._views.show_large(self.review.segmentation[selected])

    def _scrolled(self, k: int) -> None:
        """The axial view shows another slice: that is the one looked at now."""
        session = self.review.session
        if session.selected is not None and (session.current is None or session.current.k != k):
            session.go_to(session.selected, k)
        self._draw_soon()

    def _show_segments(self) -> None:
        self._visible += 1
        selected = self.review.session.selected
        with self._edits.paused():
            show_all(self._segmentation_node)
            if self._alone and selected is not None:
                show_only(self._segmentation_node, selected)

    def _paint(self) -> None:
        """Color the masks anew; while scoring, not at every step: it takes longer than one."""
        now = self._loop.time()
        if self.review.scoring.running and now - self._painted < _PAINT_SECONDS:
            return
        try:
            with self._edits.paused():
                if self._display.paint(self.review.n_edits, self._visible, self._views.k):
                    self._painted = now
        except QualitySentinelError as error:
            self.review.tell(str(error), "error")

    def _show_errors(self) -> None:
        """Show the errors of the selected segment, if the reader wants them, and the island that is looked at."""
        if self._errors is None:
            return
        self._errors.draw(self.review.scoring.running)
        island, self._island = self._island, self._suggestions.place
        if self._suggestions.shown and self._island is not None and island != self._island:
            self._views.show_voxel(*self._island)

    async def _read(self, segment_ids: set[str]) -> list[Segment]:
        """Segments as they are in the scene, read in short steps."""
        steps = segmentation_steps(self._segmentation_node, self._volume_node, segment_ids)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return list(end.value)
            await asyncio.sleep(0)

    # Drawing

    def _draw_soon(self) -> None:
        """Several changes at once are drawn once."""
        if self._drawing is None:
            self._drawing = self._loop.call_soon(self._draw)

    def _draw(self) -> None:
        self._drawing = None
        self._paint()
        self._show_errors()
        own = {
            "tool": self._editing.tool,
            "brush": round(self._editing.brush_mm),
            "can_undo_edit": self._editing.history.can_undo,
            "errors": {"possible": False, "shown": False, "told": "", "actions": {}},
            "alone": self._alone,
            "colors": self._display.colors,
            "scale": self._presenter.scale,
            "masks": self._display.masks,
            "opacity": self._display.opacity,
            "window": self._display.window(),
            "zoomed": self._zoomed,
            "marks": self._views.marks(),
            "queue": {} if self._queue is None else self._queue.state(),
        }
        if self._suggestions is not None:
            own["errors"] = {
                "possible": True, "shown": self._suggestions.shown, "told": self._suggestions.told(),
                "actions": {name: vars(action) for name, action in self._suggestions.actions().items()},
            }  # fmt: skip
        with self._server.state as state:
            state.update(self.review.state(self._views.k) | own)
