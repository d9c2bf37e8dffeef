"""Options from files and the command line: what is refused, and in which words."""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest

from QualitySentinelLib.errors import InputError, UsageError
from QualitySentinelTrainingLib.option_files import (
    Doc,
    Options,
    PositiveInt,
    Share,
    add_options,
    given_options,
    read_options,
)


@dataclass(frozen=True)
class Net(Options):
    """A table of the file."""

    widths: tuple[PositiveInt, ...] = (8, 16)


@dataclass(frozen=True)
class Walk(Options):
    """What a command needs."""

    data: Path
    steps: Annotated[PositiveInt, Doc("how many")] = 10
    share: Annotated[Share, Doc("of the slices")] = 0.2
    kind: Annotated[Literal["slow", "fast"], Doc("how")] = "slow"
    widths: Annotated[tuple[int, ...], Doc("of the levels")] = (1, 2)
    verbose: Annotated[bool, Doc("say more")] = False
    net: Net = field(default_factory=Net)


def test_a_file_is_read_with_tables_and_paths_beside_it(tmp_path):
    path = tmp_path / "walk.toml"
    path.write_text('data = "ct"\nshare = 1\n[net]\nwidths = [4, 8]\n')
    assert read_options(Walk, path, steps=3) == Walk(tmp_path / "ct", 3, 1.0, net=Net((4, 8)))
    assert isinstance(read_options(Walk, path).share, float)
    assert read_options(Walk, path, **{"net.widths": [2], "steps": 1}) == Walk(tmp_path / "ct", 1, 1.0, net=Net((2,)))
    with pytest.raises(UsageError, match="'width' is not an option; perhaps widths"):
        read_options(Walk, path, **{"net.width": [2]})
    with pytest.raises(UsageError, match="'nets.widths' is not an option"):
        read_options(Walk, path, **{"nets.widths": [2]})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("steps = 3", "data is missing"),
        ('data = "x"\nsteps = 0', "steps is 0: input should be greater than 0"),
        ('data = "x"\nsteps = true', "steps is True: input should be a valid integer"),
        ('data = "x"\nshare = nan', "share is nan: input should be a finite number"),
        ('data = "x"\nkind = "quick"', "kind is 'quick': input should be 'slow' or 'fast'"),
        ('data = "x"\nstep = 3', "'step' is not an option; perhaps steps"),
        ('data = "x"\n[net]\nwidths = [0]', "widths is"),
        ('data = "x"\nnet = 3', "net is 3"),
        ("data =", "not a readable TOML file"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_it(tmp_path, text, told):
    path = tmp_path / "walk.toml"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        read_options(Walk, path)
    assert str(refused.value).startswith(f"{path}: ") and told in str(refused.value) and "\n" not in str(refused.value)


def test_the_command_line_offers_the_same_options(capsys):
    parser = argparse.ArgumentParser()
    names = ("steps", "kind", "widths", "verbose")
    add_options(parser, Walk, *names)
    given = given_options(parser.parse_args(["--steps", "3", "--widths", "4", "8", "--verbose"]), Walk, *names)
    assert read_options(Walk, None, data=Path("x"), **given) == Walk(Path("x"), 3, widths=(4, 8), verbose=True)
    assert given_options(parser.parse_args([]), Walk, *names) == {}
    assert "how many (default: 10)" in parser.format_help()
    parser = argparse.ArgumentParser()
    add_options(parser, Walk, "data", "steps", steps=5)
    assert "how many (default: 5)" in parser.format_help() and "DATA\n" in parser.format_help()
    with pytest.raises(UsageError, match="steps is -1"):
        read_options(Walk, None, data=Path("x"), **given_options(parser.parse_args(["--steps", "-1"]), Walk, "steps"))
