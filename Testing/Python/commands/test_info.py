"""``quality-sentinel info``: what there is, for people and for programs."""

import json

from QualitySentinelLib.commands.main import main


def test_people_read_the_model_the_devices_and_the_versions(a_model_file, capsys):
    assert main(["info", "--model", str(a_model_file)]) == 0
    shown = capsys.readouterr().out
    for word in ("Quality Sentinel", "name small", "cpu", "torch ", "numpy "):
        assert word in shown


def test_programs_get_the_same_as_json(a_model_file, capsys):
    assert main(["info", "--json", "--model", str(a_model_file)]) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["model"]["name"] == "small"
    assert info["devices"][0] == "cpu"
    assert "torch" in info["versions"]
    assert "liver" in info["structures"]


def test_a_model_that_is_not_there_is_one_line_and_exit_code_5(tmp_path, capsys):
    assert main(["info", "--model", str(tmp_path / "no.safetensors")]) == 5
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert "no.safetensors" in lines[0]
