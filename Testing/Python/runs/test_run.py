"""Work over many items: resumed, checked, and never mixed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from QualitySentinelLib.errors import InputError, ModelError, UsageError
from QualitySentinelLib.files import atomic_write
from QualitySentinelTrainingLib.runs import Kind, Result, Run, Work

KIND = Kind("square", "test-square/1", item="number", tables=("squares.csv",))


@dataclass(frozen=True)
class Number:
    """An item."""

    name: str
    value: int = 0


NUMBERS = [Number(f"n{value}", value) for value in range(5)]


def square(number: Number, folder: Path | None = None) -> Result:
    """What is done with an item; 3 fails, and 13 kills its process."""
    if number.value == 3:
        raise InputError("3: has no square; give another")
    if number.value == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    files = {}
    if folder is not None:
        files["big/" + number.name] = atomic_write(folder / "big" / number.name, str(number.value**2))
    return Result({"value": number.value}, [{"square": number.value**2}], files)


def names(finished) -> list[str]:
    return sorted(one.head["item"] for one in finished)


def test_only_what_is_missing_is_done_again(tmp_path):
    with Run(tmp_path, KIND, {"key": {}}) as run:
        assert names(run.work(NUMBERS[:3], square, workers=1)) == ["n0", "n1", "n2"]
    assert not json.loads((tmp_path / "square.json").read_text())["complete"]
    with Run(tmp_path, KIND, {"key": {}}) as run:
        assert names(run.work(NUMBERS, square, workers=1)) == ["n3", "n4"]
        assert run.failed == {"n3": "3: has no square; give another"}
        assert names(run.work(NUMBERS, square)) == []
        assert names(run.work(NUMBERS, square, workers=1, retry_failed=True)) == ["n3"]
        run.finish(counts=5)
    document = json.loads((tmp_path / "square.json").read_text())
    assert document == {"schema": "test-square/1", "key": {}, "counts": 5, "complete": True}
    run = Run(tmp_path, KIND)
    assert run.names() == ["n0", "n1", "n2", "n3", "n4"]
    assert [run.record(f"n{value}").lines for value in (2, 3, 4)] == [[{"square": 4}], [], [{"square": 16}]]
    assert run.head("n4")["value"] == 4


def test_a_damaged_record_or_file_is_noticed_and_done_again(tmp_path):
    work = partial(square, folder=tmp_path)
    with Run(tmp_path, KIND, {"key": {}}) as run:
        list(run.work(NUMBERS, work, workers=1))
        whole = run.record_path("n2").read_bytes()
        for damaged in (whole.replace(b'"square":4', b'"square":5'), whole[:-9], whole[: whole.index(b"\n") + 1], b""):
            run.record_path("n2").write_bytes(damaged)
            with pytest.raises(InputError, match=f"{run.record_path('n2')}: is damaged .*; run the square again"):
                run.record("n2")
            plan = run.plan(NUMBERS)
            assert [item.name for item in plan.todo] == ["n2"]
            assert plan.notes[0] == f"{run.record_path('n2')}: is damaged; number n2 is done again"
        assert names(run.work(NUMBERS, work, workers=1)) == ["n2"]
        (tmp_path / "big" / "n1").write_text("")
        (tmp_path / "big" / "n4").unlink()
        assert names(run.work(NUMBERS, work, workers=1)) == ["n1", "n4"]


def test_other_ways_and_other_runs_are_kept_out(tmp_path):
    with Run(tmp_path, KIND, {"key": {"power": 2}}):
        with pytest.raises(UsageError, match="another square run is writing there"), Run(tmp_path, KIND, {"key": {}}):
            pass
    for key, words in (({"power": 3}, "power 2, not 3"), ({}, "power 2, not none"), ({"power": 2, "of": 1}, "of none")):
        with pytest.raises(UsageError, match=words), Run(tmp_path, KIND, {"key": key}):
            pass
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "squares.csv").write_text("mine")
    with pytest.raises(UsageError, match="is of no square and would be written over"):
        with Run(tmp_path / "other", KIND, {"key": {}}):
            pass
    (tmp_path / "square.json").write_text('{"schema": "test-square/9"}')
    with pytest.raises(InputError, match="is of another version"), Run(tmp_path, KIND, {"key": {}}):
        pass


def test_what_a_killed_run_left_half_written_is_cleared(tmp_path):
    (tmp_path / "numbers").mkdir(parents=True)
    left = [tmp_path / ".writing-1-a.npz", tmp_path / "numbers" / ".writing-2-n1.jsonl"]
    for path in left:
        path.write_text("half")
    with Run(tmp_path, KIND):
        assert not any(path.exists() for path in left)


class _Changing(Work):
    def fingerprint(self, item):
        return str(item.value)

    def facts(self, item):
        return {"told": item.value}

    def reason(self, item, text):
        return text.replace("secret", "[removed]")

    def do(self, item, data):
        if item.value == 8:
            raise ModelError("no model")
        if item.value == 9:
            raise IndexError("of a secret\nthing")
        return Result()


def test_changed_inputs_are_done_again_and_a_model_at_fault_ends_the_run(tmp_path):
    with Run(tmp_path, KIND) as run:
        list(run.work([Number("a", 1), Number("b", 9)], _Changing(), workers=1))
        assert run.failed == {"b": "IndexError: of a [removed] thing"}
        assert run.head("b")["told"] == 9
        plan = run.plan([Number("a", 2)], _Changing())
        assert plan.changed == ["a"] and plan.gone == ["b"]
        with pytest.raises(ModelError, match="no model"):
            list(run.work([Number("a", 8)], _Changing(), workers=1))
        assert run.head("a")["told"] == 1


@pytest.mark.slow
def test_processes_do_what_one_does_and_an_item_that_kills_its_own_fails_alone(tmp_path):
    script = (
        "import sys\n"
        "from Testing.Python.runs.test_run import KIND, NUMBERS, Number, square\n"
        "from QualitySentinelTrainingLib.runs import Run\n"
        "if __name__ == '__main__':\n"
        "    with Run(sys.argv[1], KIND) as run:\n"
        "        list(run.work([*NUMBERS, Number('n13', 13)], square, workers=2))\n"
        "    print(sorted(run.failed.items()))\n"
    )
    (tmp_path / "script.py").write_text(script)
    root = str(Path(__file__).parents[3])
    words = [sys.executable, tmp_path / "script.py", tmp_path / "out"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *sys.path])}
    said = subprocess.run(words, capture_output=True, text=True, env=env, check=False)
    assert said.stdout.strip() == str([
        ("n13", "the process that worked on it was killed, perhaps for want of memory"),
        ("n3", "3: has no square; give another"),
    ]), said.stderr  # fmt: skip
    assert Run(tmp_path / "out", KIND).record("n4").lines == [{"square": 16}]


def test_another_kinds_records_are_not_mixed_with_ours(tmp_path):
    with Run(tmp_path, KIND, {"key": {}}) as run:
        list(run.work(NUMBERS[:2], square, workers=1))
    with pytest.raises(UsageError, match="holds numbers of another run; choose another folder"):
        Run(tmp_path, Kind("cube", "test-cube/1", item="number"), {"key": {}}).__enter__()
