"""A list of ``select`` as a queue: order, states, files, restarts, two people, cases that are not there."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
from Testing.Python.web_review import own_loop

from QualitySentinelLib import errors
from QualitySentinelLib.datasets import read_case
from QualitySentinelLib.datasets.pool import LIST_COLUMNS, corrected_file, read_list
from QualitySentinelLib.errors import CancelledError, InputError, UsageError
from QualitySentinelLib.report import write_scored_segmentation
from QualitySentinelLib.review.queue import ReviewQueue, State, run_now
from QualitySentinelLib.scores import CaseScore
from QualitySentinelLib.scores.tables import write_table
from QualitySentinelLib.web_review.queue_run import QueueRun


@pytest.fixture
def pool(a_torso, tmp_path):
    """Three CTs in ``pool``, two with masks in ``masks``."""
    for name in "abc":
        a_torso.write(tmp_path / "pool" / f"{name}.nii.gz", a_torso.hu)
        if name != "c":
            a_torso.write(tmp_path / "masks" / f"{name}.nii.gz", a_torso.labels)
    a_torso.write_names(tmp_path / "masks" / "dataset.json")
    return tmp_path / "pool"


def listed(pool, *units):
    """A list of cases, or of (case, structure, slice), in ``next/selection.csv``."""
    rows = [(n, *((u, "", None) if isinstance(u, str) else u), 0.5, 1.0, f"reason {n}") for n, u in enumerate(units, 1)]
    return write_table(pool.parent / "next" / "selection.csv", LIST_COLUMNS, rows)


@pytest.fixture
def make_queue(pool):
    """Opens queues, and closes them in the end."""
    made = []

    def make(*units, **options):
        path = listed(pool, *units) if units else pool.parent / "next" / "selection.csv"
        made.append(ReviewQueue(path, pool, pool.parent / "masks", **options))
        return made[-1]

    yield make
    for queue in made:
        queue.close()


def test_rows_are_done_or_go_back_and_stay_so_after_a_restart(make_queue, pool):
    queue = make_queue("b", "a", "c")
    assert queue.step().case == "b" and queue.place == "Case 1 of 3 · reason 1"
    queue.mark(State.DONE)
    assert queue.step().case == "a"
    queue.mark(State.BACK)
    queue.close()
    folder = pool.parent / "next"
    assert [row.case for row in read_list(folder / "done.csv")] == ["b"]
    assert [row.case for row in read_list(folder / "back_to_pool.csv")] == ["a"]
    assert (folder / "done.csv").read_text().splitlines()[0] == ",".join(LIST_COLUMNS)
    again = make_queue()
    assert again.step().case == "c" and again.counts == "1 done, 1 back to the pool, 1 open"
    assert not again.actions()["next_case"].enabled
    again.mark(State.DONE)
    assert again.step() is None and again.case is None


def test_a_slip_is_taken_back(make_queue, pool):
    queue = make_queue("a", "b")
    queue.step()
    queue.mark(State.DONE)
    queue.step()
    assert queue.step(back=True).case == "a" and queue.place.endswith("· done")
    assert queue.actions()["mark_done"].text == "Not done" and not queue.actions()["previous_case"].enabled
    queue.mark(State.BACK)
    assert read_list(pool.parent / "next" / "done.csv") == []
    queue.mark(State.BACK)
    assert queue.state(queue.current) is State.OPEN and queue.step().case == "b"


def test_slices_of_one_case_come_together(make_queue):
    queue = make_queue(("b", "liver", 7), ("a", "liver", 3), ("b", "spleen", 9))
    seen = []
    while (row := queue.step()) is not None:
        seen.append(row.unit)
        queue.mark(State.DONE)
    assert seen == [("b", "liver", 7), ("b", "spleen", 9), ("a", "liver", 3)]
    assert "--budget 3slices" in queue.next_command


def test_the_next_round_reads_what_is_done(make_queue, pool):
    from QualitySentinelLib.commands.main import main

    queue = make_queue("a", "c", "b")
    for state in (State.DONE, State.BACK):
        queue.step()
        queue.mark(state)
    words = shlex.split(queue.next_command)
    words[words.index("--budget") + 1] = "2cases"
    words[words.index("--predictions") : words.index("--budget")] = ["--strategy", "random"]
    assert main([*words[1:], "--workers", "1"]) == 0
    assert {row.case for row in read_list(pool.parent / "next_next" / "selection.csv")} == {"b", "c"}


def test_commands_are_quoted_as_the_systems_terminal_takes_them(monkeypatch):
    assert errors.command_text("select", Path("my pool")) == "select 'my pool'"
    monkeypatch.setattr(errors, "os", SimpleNamespace(name="nt"))
    assert errors.command_text("select", r"C:\my pool", r"D:\R&D", "--seed") == r'select "C:\my pool" "D:\R&D" --seed'


def test_corrected_masks_take_the_place_of_the_pools_and_lie_beside_the_list(make_queue, pool):
    queue = make_queue("a")
    queue.step()
    _ct, segmentation = read_case(queue.case)
    assert {s.structure for s in segmentation} == {"liver", "spleen"}
    segmentation.segments = segmentation.segments[:1]
    before = {path: path.stat().st_mtime_ns for path in pool.parent.rglob("*") if path.is_file()}
    write_scored_segmentation(queue.corrected, segmentation, CaseScore([], 0.0))
    assert queue.corrected == pool.parent / "next" / "corrected" / "a.seg.nrrd"
    assert len(read_case(queue.case)[1]) == 1, "read again after a restart, too"
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_cases_that_are_gone_or_cannot_be_shown_are_named_and_passed_over(make_queue):
    queue, asked = make_queue("gone", "a", "b"), []

    async def do(what, of):
        asked.append((what, of.name if what == "open" else of.case))
        if asked[-1] == ("open", "a"):
            raise InputError("a.nii.gz:\nis damaged")

    run_now(queue.act("next_case", do))
    assert asked == [("open", "a"), ("open", "b"), ("look", "b")] and queue.current.case == queue.opened == "b"
    assert [line.split(":")[0] for line in queue.passed_over] == ["gone", "a"]
    assert "not in" in queue.passed_over[0] and queue.passed_over[1].endswith("a.nii.gz: is damaged")
    queue.mark(State.DONE)
    assert queue.step() is None


def test_the_reader_keeps_the_case_when_no_earlier_one_can_be_opened(make_queue):
    queue, asked = make_queue("a", "b"), []
    queue.step()

    async def do(what, of):
        if what == "open" and queue.opened:
            asked.append((what, of.name))
            raise InputError("is damaged")

    run_now(queue.act("next_case", do))
    run_now(queue.act("previous_case", do))
    assert asked == [("open", "a")] and queue.current.case == queue.opened == "b"
    assert not queue.actions()["previous_case"].enabled


def test_an_unexpected_failure_does_not_give_one_case_the_masks_of_another(make_queue):
    queue, saved = make_queue("a", "b"), []

    async def do(what, of):
        if what == "save":
            saved.append(of.name)
        if what == "open" and of.name == "b":
            raise MemoryError

    run_now(queue.act("next_case", do))
    for action in ("next_case", "mark_done"):
        with pytest.raises(MemoryError):
            run_now(queue.act(action, do))
        assert queue.current.case == queue.opened == "a"
    assert saved == ["a.seg.nrrd"]


def test_nothing_is_saved_of_a_case_that_the_page_shows_in_part(make_queue):
    queue, saved, told = make_queue("a", "b"), [], []

    async def done(*file):
        saved.extend(file)

    def fail(_review, _name):
        raise MemoryError

    review = SimpleNamespace(
        close=done, save_masks=done, changed=lambda: None, tell=lambda text, _kind: told.append(text)
    )

    async def story():
        run = QueueRun(queue, lambda _case: lambda: None)
        run.first()
        run.page = SimpleNamespace(review=review, open=fail)
        for action in ("next_case", "mark_done"):
            run.act_on_list(action)
            await run.finish()
            await asyncio.sleep(0)

    own_loop.run(story())
    assert not saved and "no case is open" in told[-1]
    assert queue.current.case == "a" and queue.state(queue.current) is State.OPEN


def test_a_case_whose_name_leads_out_of_the_folder_is_passed_over(pool):
    rows = (f"{name},a.nii.gz,../masks/a.nii.gz" for name in ("../../x", "/x", "site/x"))
    (pool / "manifest.csv").write_text("\n".join(("case,ct,seg", *rows)))
    queue = ReviewQueue(listed(pool, "../../x", "/x", "site/x"), pool / "manifest.csv")
    assert queue.step().case == "site/x" and set(queue.problems) == {"../../x", "/x"}
    queue.close()


def test_a_row_that_is_listed_twice_is_shown_once(make_queue):
    queue = make_queue("a", "a", "b")
    assert [queue.step().case for _ in range(2)] == ["a", "b"]


def test_every_view_carries_out_the_same_steps(make_queue, pool):
    queue, asked = make_queue("a", ("b", "liver", 7), ("b", "spleen", 9)), []

    def do(action, fail=None):
        async def step(what, _of):
            asked.append(what)
            if what == fail:
                raise CancelledError("no")

        asked.clear()
        run_now(queue.act(action, step))

    do("mark_done")
    assert not asked, "no case is open"
    do("next_case")
    do("next_case", fail="open")
    assert asked == ["open"] and queue.current.case == "a", "the reader keeps it"
    do("mark_done")
    assert asked == ["save", "open", "look"] and queue.current.unit == ("b", "liver", 7)
    do("back_to_pool")
    assert asked == ["look"], "the case is open already"
    with pytest.raises(CancelledError):
        do("mark_done", fail="save")
    assert queue.counts == "1 done, 1 back to the pool, 1 open", "what could not be saved is not done"
    do("previous_case")
    do("back_to_pool")
    assert not asked and queue.state(queue.current) is State.OPEN


def test_a_second_person_is_refused_until_the_first_one_is_through(make_queue, pool):
    first = make_queue("a")
    with pytest.raises(UsageError, match="its list is open elsewhere"):
        make_queue()
    first.close()
    make_queue()


def test_what_another_list_left_in_the_folder_is_kept(make_queue, pool):
    queue = make_queue("a", "b")
    write_table(pool.parent / "next" / "done.csv", LIST_COLUMNS, [(1, "earlier", "", None, 0.1, 1.0, "")])
    queue.step()
    queue.mark(State.DONE)
    assert [row.case for row in read_list(pool.parent / "next" / "done.csv")] == ["earlier", "a"]


@pytest.mark.parametrize(
    ("text", "line"),
    [("name\nx\n", "no column 'case'"), ("case,slice_index\na,7th\n", "no list"), ("case\n", "lists no case")],
)
def test_a_file_that_is_no_list_is_one_line(pool, text, line):
    path = pool.parent / "list.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=line) as caught:
        ReviewQueue(path, pool)
    assert "list.csv" in str(caught.value) and "\n" not in str(caught.value)


def test_the_masks_of_a_case_in_a_folder_have_a_folder_of_that_name(tmp_path):
    assert corrected_file(tmp_path / "done.csv", "site/x") == tmp_path / "corrected" / "site" / "x.seg.nrrd"
