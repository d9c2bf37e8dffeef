"""The notebook of the documentation runs, from top to bottom, on a smaller set."""

from __future__ import annotations

import json

import matplotlib as mpl
import pytest


@pytest.mark.slow
def test_the_example_runs_and_a_second_time_goes_on(repository, tmp_path, monkeypatch, capsys):
    mpl.use("Agg")
    monkeypatch.chdir(tmp_path)
    notebook = json.loads((repository / "docs" / "audit_example.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert sum(cell.count("CASES = 20") for cell in cells) == 1
    for _ in range(2):
        space = {"__name__": "notebook"}
        for cell in cells:
            exec(compile(cell.replace("CASES = 20", "CASES = 2"), "audit_example.ipynb", "exec"), space)
    printed = capsys.readouterr().out
    assert "2 cases, 16 segments" in printed
    assert "average precision" in printed and "the 50 lowest slices" in printed
    assert "quality-sentinel review --ct" in printed
    assert (tmp_path / "audit_example" / "out" / "report" / "index.html").is_file()
