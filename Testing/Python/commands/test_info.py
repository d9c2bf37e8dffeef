"""``quality-sentinel info``: what there is, for people and for programs."""

import json

import pytest

from QualitySentinelLib.commands.main import build_parser, main


def test_people_read_the_model_the_devices_and_the_versions(a_model_file, capsys):
    assert main(["info", "--model", str(a_model_file)]) == 0
    shown = capsys.readouterr().out
    for word in ("Quality Sentinel", "name small", "cpu", "torch ", "numpy "):
        assert word in shown


def test_programs_get_the_same_as_json(a_model_file, capsys):
    assert main(["info", "--json", "--model", str(a_model_file)]) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["model"]["name"] == "small"
    assert info["model"]["backend"] in ("torch", "openvino") and info["model"]["precision"] == "float32"
    assert info["devices"][0] == "cpu"
    assert "torch" in info["versions"]
    assert "liver" in info["structures"]


def test_a_model_that_is_not_there_is_one_line_and_exit_code_5(tmp_path, capsys):
    assert main(["info", "--model", str(tmp_path / "no.safetensors")]) == 5
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert "no.safetensors" in lines[0]


def test_help_speaks_of_no_program_text():
    """Of every command: no default is shown as Python has it."""
    commands = next(action for action in build_parser()._actions if action.dest == "command").choices
    for name, parser in commands.items():
        for said in (" object at ", "MISSING", "None", "(default: )", "()"):
            assert said not in parser.format_help(), f"{name} --help says {said!r}"


@pytest.mark.parametrize("command", ["score", "review"])
def test_help_shows_commands_to_copy_that_can_be_parsed(command, capsys):
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    examples = [line.strip() for line in shown.splitlines() if line.startswith("    quality-sentinel")]
    assert len(examples) in (2, 3)
    for example in examples:
        options = build_parser().parse_args(example.split()[1:])
        assert options.command == command and (str(options.ct) in ("ct.nii.gz", "dicom") or options.queue)
