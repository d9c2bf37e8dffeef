"""``quality-sentinel review`` before it serves anything."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path

import pytest

from QualitySentinelLib.commands.main import main
from QualitySentinelLib.commands.review import default_folder
from QualitySentinelLib.files import locked_folder


def needs_the_extra() -> None:
    if importlib.util.find_spec("trame_slicer") is None:
        pytest.skip("needs the extra 'review'")


def test_help_names_its_options(capsys):
    assert main(["review", "--help"]) == 0
    text = capsys.readouterr().out
    for option in ("--ct", "--seg", "--out", "--names", "--threshold", "--port", "--no-browser", "--scores"):
        assert option in text
    assert "--host" not in text


def test_without_trame_one_line_says_what_to_install(a_case_on_disk, capsys, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "trame" else find(name, *a))
    assert main(["review", "--ct", str(a_case_on_disk.ct), "--seg", str(a_case_on_disk.seg)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.endswith("run: pip install -c constraints.txt '.[review]'")


def test_a_missing_ct_is_named(a_case_on_disk, tmp_path, capsys):
    needs_the_extra()
    arguments = ["review", "--ct", "no.nii.gz", "--seg", str(a_case_on_disk.seg), "--out", str(tmp_path / "out")]
    assert main(arguments) == 3
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "no.nii.gz" in line


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_that_does_not_exist_is_refused(a_case_on_disk, tmp_path, capsys, port):
    needs_the_extra()
    case = ["--ct", str(a_case_on_disk.ct), "--seg", str(a_case_on_disk.seg), "--out", str(tmp_path / "out")]
    assert main(["review", *case, f"--port={port}"]) == 2
    assert "--port" in capsys.readouterr().err


def test_a_port_in_use_is_refused_before_the_case_is_read(a_case_on_disk, tmp_path, capsys):
    needs_the_extra()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        case = ["--ct", "missing.nii.gz", "--seg", str(a_case_on_disk.seg), "--out", str(tmp_path / "out")]
        assert main(["review", *case, f"--port={port}"]) == 2
    assert f"--port {port}: cannot be used" in capsys.readouterr().err


def test_results_do_not_land_among_the_inputs(a_case_on_disk, tmp_path, capsys):
    needs_the_extra()
    seg = tmp_path / "kept" / "scored.seg.nrrd"
    assert main(["review", "--ct", str(a_case_on_disk.ct), "--seg", str(seg), "--out", str(tmp_path / "kept")]) == 2
    assert "another folder" in capsys.readouterr().err


def test_a_second_review_in_one_folder_is_refused(a_case_on_disk, tmp_path, capsys):
    needs_the_extra()
    out = tmp_path / "kept"
    with locked_folder(out, ""):
        arguments = ["review", "--ct", str(a_case_on_disk.ct), "--seg", str(a_case_on_disk.seg), "--out", str(out)]
        assert main(arguments) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"{out}: another review is open there" in line and "--out" in line


@pytest.mark.parametrize(
    ("seg", "folder"),
    [("a/liver.nii.gz", "liver-review"), ("case.seg.nrrd", "case-review"), ("a/masks/", "masks-review")],
)
def test_without_out_the_review_is_kept_under_the_name_of_the_masks(seg, folder):
    assert default_folder(Path(seg)) == Path(folder)
