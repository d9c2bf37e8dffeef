"""``write_audit_report``: the pages, and the work lists, of an audit's folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from QualitySentinelLib.colors import COLOR_SCALE
from QualitySentinelLib.errors import QualitySentinelError
from QualitySentinelLib.files import atomic_write
from QualitySentinelLib.report.drawing import MISSED_COLOR
from QualitySentinelLib.report.plot import dsc_plot, dsc_strip
from QualitySentinelLib.report.slice_picture import PICTURE_PX, slice_picture, worst_slices
from QualitySentinelLib.report.text import MISSED_TEXT, range_text, threshold_text
from QualitySentinelLib.scores import CaseScore, SegmentScore, SliceScore, Status, dsc_color, segment_labels
from QualitySentinelLib.volume import CtVolume, Segment

from ...pages import write_table
from ...pages.charts import gain_curve, group_bars, histogram, interval_bar
from ...pages.page import render
from ...runs.file_names import file_name
from ...stats import LEVEL
from .. import bias as bias_tests
from ..anatomy import MISSING_COLUMNS, SWAP_COLUMNS, USUAL_SHARE, find_swaps, missing_structures
from ..bias import Bias, BiasTest, find_bias
from ..budget import BudgetPlan, budget_plan
from ..compare import Comparison, compare_audits
from ..frames import Audit, read_audit
from ..lists import LISTS, REPORT, check_lists, excluded, write_budget, write_frame, write_worst_first
from ..open_case import SLICER_SCRIPT, CaseFiles, open_command, write_slicer_script
from ..store import SLICE_FIELDS
from .overview import CaseScores, overview_of

ALL_CASES = "cases.html"
MOST_PAGES = 500
"""Cases with a page of their own; of larger data sets the worst."""
WORST_CASES = 25
"""Cases in the table of the first page; all of them are in ``cases.html``."""
PICTURED_CASES = 12
"""So many of the worst cases are read again for pictures; each takes seconds."""
_PICTURES_OF_CASE, _PICTURES_OF_SEGMENT, _PICTURED_SEGMENTS = 8, 2, 4
_PLOTS = 8
_MARKED_SLICES = 300
_MORE_TESTS, _LEAST_TESTS, _MOST_TESTS = 3, 10, 80
_BUDGET_STEPS = (10, 30, 100, 300, 1000, 3000, 10000)


def write_audit_report(
    out_folder: str | os.PathLike, dataset_folder: str | os.PathLike | None = None, *,
    compare_with: str | os.PathLike | None = None, metadata: Iterable[str] | None = None, patient: str | None = None,
    budget: int | None = None, exclude_below: float | None = None, max_pages: int = MOST_PAGES,
    created: datetime | None = None,
    progress: Callable[[str], object] = lambda what: None,
) -> Path:  # fmt: skip
    """Write the report of an audit, and its lists, into the audit's folder; the path of the first page.

    Writes ``report/index.html``, ``report/cases.html`` and ``report/cases/<case>.html``; ``worst_first.csv``;
    ``budget.csv``; ``missing_structures.csv``, ``swaps.csv``; with metadata ``bias.csv``; where asked for
    ``comparison.csv`` and ``excluded.csv``; and ``open_in_slicer.py``. Pages need no network and no other file than
    each other. What an earlier report wrote is replaced.

    Args:
        dataset_folder: what ``ct`` and ``seg`` are relative to; by default what ``audit.json`` says. Without it, or
            when the files have gone, there are no pictures.
        compare_with: the folder of another audit, to compare with.
        metadata: columns of the bias section, without ``meta_``; all by default.
        patient: metadata column that tells the patient, where several cases are of one.
        budget: only so many slices in ``budget.csv``; all flagged and missed ones by default.
        exclude_below: write ``excluded.csv``: masks and cases predicted below it.
        max_pages: so many of the worst cases get a page.
        created: date of the report; now when not given.
        progress: called with what is being done.

    Raises:
        UsageError: an option makes no sense.
        InputError: a table is missing or damaged, or the folder cannot be written.
    """
    audit = read_audit(out_folder)
    check_lists(budget, exclude_below)
    progress("reading tables")
    report = _Report(audit, CaseFiles(audit, dataset_folder), max_pages, created or datetime.now().astimezone())
    progress("comparing groups")
    bias = find_bias(audit, metadata, patient=patient) if metadata is not None or patient or audit.metadata else None
    comparison = compare_audits(audit, read_audit(compare_with), patient=patient) if compare_with is not None else None
    plans = [budget_plan(audit, order) for order in ("worst", "gain")]
    swaps = find_swaps(audit.segments)
    missing = missing_structures(audit.segments, [str(c) for c in audit.done["case"]])
    progress("writing lists")
    _write_lists(audit, bias, comparison, plans[0], swaps, missing, budget, exclude_below)
    progress("drawing pictures")
    drawn = {"not_pictured": report.draw(), "structure_pictures": report.of_structures()}
    progress("writing pages")
    report.write_case_pages(swaps)
    content = report.index(bias, comparison, plans, swaps, missing) | drawn | {"exclude_below": exclude_below}
    return report.write("index.html", content)


def _write_lists(audit, bias, comparison, plan, swaps, missing, budget, exclude_below) -> None:
    out = audit.folder
    written = {
        write_worst_first(audit, out / "worst_first.csv"),
        write_budget(plan, out / "budget.csv", budget),
        write_table(out / "swaps.csv", SWAP_COLUMNS, ([getattr(s, c) for c in SWAP_COLUMNS] for s in swaps)),
        write_table(
            out / "missing_structures.csv", MISSING_COLUMNS,
            ([case, m.structure, how, m.share, s_mm] for m in missing for case, s_mm, how in m.cases),
        ),
    }  # fmt: skip
    if bias is not None and bias.tests:
        written.add(write_frame(out / "bias.csv", bias.to_frame()))
    if comparison is not None:
        written.add(write_frame(out / "comparison.csv", comparison.to_frame()))
    if exclude_below is not None:
        written.add(write_frame(out / "excluded.csv", excluded(audit, exclude_below)))
    for path in {out / name for name in LISTS} - written:  # a list of an earlier report would be taken for one of this
        path.unlink(missing_ok=True)
    write_slicer_script(out)


class _Report:
    """The pages of an audit, and what they share."""

    def __init__(self, audit: Audit, files: CaseFiles, max_pages: int, created: datetime) -> None:
        slices = audit.read_slices(SLICE_FIELDS)
        self.audit, self.files, self.pictures = audit, files, dict[str, Any]()
        self.overview, self.scores = overview_of(audit, slices), CaseScores(audit.segments, slices)
        self.scored = [case for case in self.overview.cases if case["mean"] is not None]
        self.pages = {case["case"]: f"{file_name(case['case'])}.html" for case in self.scored[:max_pages]}
        told = {name: t if isinstance(t := audit.run.get(name), Mapping) else {} for name in ("model", "versions")}
        own = "one for each structure, others " if audit.flagging.own_thresholds else ""
        self._shared = {
            **told, "title": audit.name, "created": created, "threshold": audit.threshold, "scale": COLOR_SCALE,
            "threshold_dsc": f"{own}DSC {threshold_text(audit.threshold)}",
            "threshold_text": "threshold" if own else threshold_text(audit.threshold), "missed_color": MISSED_COLOR,
            "missed_text": MISSED_TEXT, "missed_sought": audit.missed_sought, "pages": self.pages,
            "slicer_script": SLICER_SCRIPT, "picture_px": PICTURE_PX, "n_cases": len(self.overview.cases),
        }  # fmt: skip

    def write(self, name: str, content: Mapping, template: str = "") -> Path:
        page = render(template or name, Path(__file__).parent, **content, **self._shared)
        return atomic_write((self.audit.folder / REPORT).parent / name, page)

    def draw(self) -> str:
        """Draw the worst slices of the worst cases; why there are none, as a sentence."""
        if not self.files.at_hand:
            return "There are no pictures: the data set was not at hand when this page was written."
        failures = tried = 0
        for name in (case["case"] for case in self.scored[: 2 * PICTURED_CASES]):
            if len(self.pictures) >= PICTURED_CASES or failures >= 3:
                break
            tried += 1
            try:
                pictures = case_pictures(name, self.scores.of(name), self.files)
            except QualitySentinelError:
                failures += 1
                continue
            if pictures:
                self.pictures[name] = pictures
        if self.pictures or not tried:
            return ""
        if failures:
            return "There are no pictures: CTs and masks were not where the audit found them."
        return "There are no pictures: the masks are not those that were scored."

    def of_structures(self) -> list[tuple]:
        """Case and picture of the lowest structures: the lowest slice of each one's lowest segment, if doubtful."""
        drawn: list[tuple] = []
        if not self.pictures or len(self.overview.structures) < 2:  # of a single one the worst cases tell all
            return drawn
        for row in self.overview.structures[: PICTURED_CASES // 2]:
            case, name = row["lowest_case"], row["lowest_segment"]
            segments = [s for s in self.scores.of(case) if s.name == name and (s.n_flagged or s.n_missed)]
            segments = [replace(s, empty_slices=[]) if s.n_flagged else s for s in segments]  # a wrong one says more
            pictures = [p for p in self.pictures.get(case, []) if p["label"] == name and not p["slice"].missed]
            try:
                pictures = pictures or case_pictures(case, segments, self.files)
            except QualitySentinelError:
                continue
            drawn += [(case, picture) for picture in pictures[:1]]
        return drawn

    def write_case_pages(self, swaps) -> None:
        """Write the pages of single cases, worst first, and the one that lists all."""
        order = [None, *(case for case in self.scored if case["case"] in self.pages), None]
        for rank, (previous, case, following) in enumerate(zip(order, order[1:], order[2:], strict=False), start=1):
            name, row = case["case"], case["row"]
            self.write(f"cases/{self.pages[name]}", {
                "case": case, "rank": rank, "previous": previous, "next": following,
                "rows": _case_rows(self.scores.of(name), self.audit.flagging),
                "pictures": self.pictures.get(name, []), "swaps": [swap for swap in swaps if swap.case == name],
                "command": open_command(name, "AUDIT_FOLDER"), "warnings": _warnings(row),
                "metadata": _metadata(self.audit, row),
            }, "case.html")  # fmt: skip
        folder = (self.audit.folder / REPORT).with_name("cases")
        for old in {path.name for path in folder.glob("*.html")} - set(self.pages.values()):
            (folder / old).unlink()
        self.write(ALL_CASES, {"cases": self.overview.cases})

    def index(self, bias: Bias | None, comparison: Comparison | None, plans: list[BudgetPlan], swaps, missing) -> dict:
        """What the first page says, but for its pictures."""
        overview, cases = self.overview, self.audit.cases
        tests, compared = bias.tests if bias is not None else [], comparison.rows if comparison is not None else []
        return vars(overview) | {
            "histograms": [
                histogram(dsc, self.audit.threshold, what) if len(dsc) else ""
                for dsc, what in ((overview.segment_dsc, "segments"), (overview.slice_dsc, "slices"))
            ],
            "cases": self.scored[:WORST_CASES],
            "failed": [c for c in overview.cases if c["status"] == "failed"],
            "warned": [(c["case"], lines[0]) for c in overview.cases if (lines := _warnings(c["row"]))],
            "top": [(case, pictures[0]) for case, pictures in self.pictures.items()],
            "missing": missing,
            "n_lacking": sum(m.in_range for m in missing if m.expected),
            "usual_share": USUAL_SHARE,
            "swaps": swaps,
            "comparison": comparison,
            "comparison_limit": _limit([end for row in compared for end in (row.low, row.high)]),
            "bias": bias,
            "bias_level": LEVEL,
            "bias_min_group": bias_tests.MIN_GROUP,
            "bias_min_numeric": bias_tests.MIN_NUMERIC,
            "bias_overall": _overall_tests(tests),
            "bias_listed": _listed_tests(tests),
            "bias_limit": _limit([end for t in tests if t.difference is not None for end in (t.low, t.high)]),
            "interval_bar": interval_bar,
            "budget": _budget(plans),
            "n_slices": plans[0].n_slices,
            "devices": sorted({str(d) for d in cases["device"].dropna()}) if "device" in cases.columns else [],
            "slices_scored": self.audit.option("slices", "all"),
            "notes": [str(note) for note in self.audit.option("notes", [])],
        }  # fmt: skip


def case_pictures(case: str, segments: list[SegmentScore], files: CaseFiles) -> list[dict]:
    """Pictures of the worst slices of a case's worst segments, worst segment first, as the templates take them.

    Of a segment slices with mask come first: where one is missing says less of what is wrong than a wrong one.

    Raises:
        QualitySentinelError: CT or masks are no longer there, or cannot be read.
    """
    doubtful = [s for s in segments if s.n_flagged or s.n_missed]
    chosen = worst_slices((doubtful or segments)[:_PICTURED_SEGMENTS], _PICTURES_OF_SEGMENT, _PICTURES_OF_CASE)
    if not chosen:
        return []
    ct, segmentation = files.read(case)
    labels = segment_labels([SegmentScore(s.id, s.name, s.structure, Status.SCORED) for s in segmentation])
    masks = {labels[s.id]: s for s in segmentation}  # as the tables call them
    pictures = [
        _picture(ct, masks[label], slice_score, label)
        for label, slices in chosen.items() if label in masks for slice_score in slices
    ]  # fmt: skip
    order = {s.segment_id: place for place, s in enumerate(segments)}
    drawn = filter(None, pictures)
    return sorted(drawn, key=lambda p: (order[p["label"]], p["slice"].missed, p["slice"].predicted_dsc))


def _picture(ct: CtVolume, segment: Segment, slice_score: SliceScore, label: str) -> dict | None:
    missed = slice_score.missed
    k, occupied = slice_score.k, segment.occupied_slices()
    if not len(occupied) or not 0 <= k < ct.frame.shape[0]:
        return None
    masked = int(min(occupied, key=lambda o: abs(int(o) - k)))
    if not missed and masked != k:
        return None  # the mask was changed since the audit
    picture = slice_picture(ct, segment, k, mask_from=masked if missed else None)
    return {
        "label": label, "uri": picture.uri, "slice": slice_score, "window": picture.window.name,
        "range": "" if missed else range_text(slice_score.dsc_low, slice_score.dsc_high),
    }  # fmt: skip


def _warnings(row: Mapping) -> list[str]:
    return [w for w in text.split(" | ") if w] if isinstance(text := row.get("warnings"), str) else []


def _case_rows(segments: list[SegmentScore], flagging: CaseScore) -> list[dict]:
    rows = []
    for place, s in enumerate(segments):
        threshold = flagging.threshold_of(s)
        plotted = place < _PLOTS and (s.n_flagged or s.n_missed) and s.slices
        said = s.name.replace("_", " ").lower() == (s.structure or "").lower()
        rows.append({
            "score": s, "structure": "" if said else s.structure or "", "color": dsc_color(s.predicted_dsc),
            "below": s.predicted_dsc is not None and s.predicted_dsc < threshold,
            "strip": dsc_strip(s) if s.slices else "",
            "plot": dsc_plot(s, s.name, threshold, s.n_scored <= _MARKED_SLICES) if plotted else "",
        })  # fmt: skip
    return rows


def _metadata(audit: Audit, row: Mapping) -> list[tuple[str, str]]:
    """What is known of the patient; whole numbers, which the table keeps as 61.0, without their decimals."""
    values = [(name, row.get(f"meta_{name}")) for name in audit.metadata]
    return [
        (name, f"{v:.0f}" if isinstance(v, float) and v.is_integer() else str(v))
        for name, v in values if v is not None and v == v and str(v) != ""
    ]  # fmt: skip


def _listed_tests(tests: list[BiasTest]) -> list[BiasTest]:
    """Tests of single structures for the page: what was found, and some more to compare it with."""
    tests = [t for t in tests if t.structure != bias_tests.OVERALL]
    return tests[: min(max(sum(t.found for t in tests) + _MORE_TESTS, _LEAST_TESTS), _MOST_TESTS)]


def _overall_tests(tests: list[BiasTest]) -> list[dict]:
    """The tests over all structures, with a chart of their groups."""
    rows = []
    for test in sorted((t for t in tests if t.structure == bias_tests.OVERALL), key=lambda t: t.column):
        chart = interval_bar(test.effect, test.low, test.high, 1.0, 260) if not test.groups else ""
        if test.groups:
            low, high = min(g.low for g in test.groups), max(g.high for g in test.groups)
            margin = max(0.1 * (high - low), 0.002)
            chart = group_bars(test.groups, max(low - margin, 0.0), min(high + margin, 1.0))
        rows.append({"test": test, "chart": chart})
    return rows


def _budget(plans: list[BudgetPlan]) -> dict:
    worst, gain = plans
    total = len(worst.slices)
    steps = sorted({k for k in (*_BUDGET_STEPS, total) if 0 < k <= total})
    return {
        "total": total,
        "mean": worst.mean_before,
        "n_segments": worst.n_segments,
        "curve": gain_curve([
            ("the lowest slices first", "k-worst", worst.gains), ("the largest gain first", "k-gain", gain.gains),
            *([("the lowest first, cautious", "k-cautious", worst.cautious)] if worst.cautious is not None else []),
        ]) if total else "",
        "steps": [(k, worst.gain(k), worst.gain(k, cautious=True), gain.gain(k)) for k in steps],
    }  # fmt: skip


def _limit(values: list[float]) -> float:
    """A round end for the axis of differences."""
    largest = max((abs(v) for v in values if v is not None and v == v), default=0.0)
    return next((limit for limit in (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5) if limit >= largest), 1.0)
