"""Importing a model, choosing it, and removing what was imported."""

from __future__ import annotations

import json
import shutil
import sys

import numpy as np
import pytest

from QualitySentinelLib.checkpoint import load_model
from QualitySentinelLib.commands.main import main
from QualitySentinelLib.errors import InputError, ModelError
from QualitySentinelLib.setup import import_model, model_choices, model_folder, remove_downloads


def names() -> list[str]:
    return [choice.name for choice in model_choices()]


def refused(path, embeddings=None) -> str:
    with pytest.raises(ModelError) as error:
        import_model(path, embeddings)
    message = str(error.value)
    assert "\n" not in message and str(path) in message
    return message


class TestImporting:
    def test_at_first_there_is_the_bundled_model_alone(self, models):
        assert [choice.source for choice in model_choices()] == ["bundled"]
        assert not models.exists()  # looking makes nothing

    def test_a_model_of_ours_is_kept_as_it_is_and_can_be_chosen(self, models, a_model_file):
        choice = import_model(a_model_file)
        assert names() == ["bundled", "small"] and choice == model_choices()[1]
        assert choice.origin == "copy of small.safetensors"
        assert (models / "small.safetensors").read_bytes() == a_model_file.read_bytes()
        assert load_model(choice.source).sha256 == load_model(a_model_file).sha256

    def test_the_same_model_is_kept_once_whatever_its_name(self, models, a_model_file, tmp_path):
        first = import_model(a_model_file)
        shutil.copy(a_model_file, tmp_path / "other name.safetensors")
        assert import_model(tmp_path / "other name.safetensors") == first
        assert names() == ["bundled", "small"]

    def test_another_model_of_the_same_name_does_not_replace_the_first(
        self, models, a_model_file, a_small_model, tmp_path
    ):
        from dataclasses import replace

        from QualitySentinelLib.checkpoint import save_model

        import_model(a_model_file)
        other = save_model(replace(a_small_model, name="another"), tmp_path / "small.safetensors")
        import_model(other)
        assert names() == ["bundled", "small", "small (2)"]
        assert load_model(model_choices()[2].source).name == "another"

    def test_a_file_called_bundled_is_not_taken_for_the_bundled_model(self, models, a_model_file, tmp_path):
        shutil.copy(a_model_file, tmp_path / "Bundled.safetensors")
        import_model(tmp_path / "Bundled.safetensors")
        assert names() == ["bundled", "Bundled (2)"]

    def test_the_published_pair_becomes_one_file_that_scores_the_same(self, models, published_files):
        choice = import_model(published_files[0])
        assert sorted(p.suffix for p in models.iterdir()) == [".json", ".safetensors"]
        for file in published_files:
            file.unlink()
        import torch

        model = load_model(choice.source)
        assert model.architecture["backbone"] == "resnet18" and "liver" in model.table
        images = torch.zeros(1, model.preset.channels, model.preset.size, model.preset.size)
        assert model.score(images, ["liver"]).shape == (1,)

    def test_what_was_converted_says_where_it_came_from(self, models, published_files):
        from QualitySentinelLib.files import sha256_of

        prints = [sha256_of(file) for file in published_files]
        choice = import_model(*published_files)
        assert choice.origin == "converted from best_model.pth and label_embedding.pkl"
        assert load_model(choice.source).metadata["imported_from"] == {
            "checkpoint": "best_model.pth",
            "checkpoint_sha256": prints[0],
            "embeddings": "label_embedding.pkl",
            "embeddings_sha256": prints[1],
        }

    def test_the_conversion_changes_no_score(self, models, published_files):
        import torch

        before = load_model(*published_files)
        after = load_model(import_model(*published_files).source)
        preset, generator = before.preset, torch.Generator().manual_seed(0)
        images = torch.rand(2, preset.channels, preset.size, preset.size, generator=generator)
        known = ["liver", "spleen"]
        assert np.allclose(before.score(images, known), after.score(images, known), atol=1e-6)

    def test_the_published_pair_is_kept_once(self, models, published_files):
        assert import_model(*published_files) == import_model(*published_files)
        assert names() == ["bundled", "best_model"]

    @pytest.mark.parametrize(
        ("name", "wanted"),
        [
            ("model.onnx", "select a .safetensors file of Quality Sentinel, or the published .pth file"),
            ("label_embedding.pkl", "select the .pth file that belongs to it"),
            ("gone.pth", "no such file"),
            ("gone.safetensors", "no such file"),
        ],
    )
    def test_what_is_no_model_is_refused_in_one_line(self, models, tmp_path, name, wanted):
        path = tmp_path / name
        if not name.startswith("gone"):
            path.write_bytes(b"something")
        assert wanted in refused(path)
        assert not models.exists()

    @pytest.mark.parametrize("name", ["damaged.safetensors", "damaged.pth"])
    def test_a_damaged_file_is_refused_and_nothing_is_left(self, models, tmp_path, name):
        (tmp_path / name).write_bytes(b"\x08\0\0\0\0\0\0\0damaged")
        (tmp_path / "label_embedding.pkl").write_bytes(b"damaged")
        refused(tmp_path / name)
        assert not models.exists()

    def test_a_checkpoint_without_its_embeddings_is_refused(self, models, published_files):
        published_files[1].unlink()
        assert "needs its label_embedding.pkl" in refused(published_files[0])

    def test_a_checkpoint_that_asks_for_code_is_refused(self, models, published_files):
        import os
        import pickle

        class Attack:
            def __reduce__(self):
                return os.mkdir, (str(models),)

        published_files[0].write_bytes(pickle.dumps(Attack()))
        refused(published_files[0])
        assert not models.exists()

    def test_without_pytorch_it_says_what_to_install_first(self, models, a_model_file, monkeypatch):
        import QualitySentinelLib

        monkeypatch.delitem(sys.modules, "QualitySentinelLib.checkpoint")
        monkeypatch.delattr(QualitySentinelLib, "checkpoint")
        for name in [n for n in sys.modules if n.startswith("QualitySentinelLib.checkpoint.")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "torch", None)
        assert "without torch, which is not installed; install the packages first" in refused(a_model_file)

    def test_a_folder_that_cannot_be_written_is_named(self, models, a_model_file):
        models.parent.parent.mkdir(parents=True)
        models.parent.write_text("a file where a folder should be")
        with pytest.raises(InputError, match="cannot be written"):
            import_model(a_model_file)
        assert names() == ["bundled"]


class TestRemoving:
    def test_imported_models_go_and_the_bytes_are_counted(self, models, a_model_file):
        import_model(a_model_file)
        size = sum(p.stat().st_size for p in models.iterdir())
        assert size > a_model_file.stat().st_size
        assert remove_downloads() == size
        assert not models.exists() and names() == ["bundled"]
        assert a_model_file.exists() and load_model().name

    def test_with_nothing_imported_nothing_happens(self, models):
        assert remove_downloads() == 0

    def test_what_was_put_there_by_hand_stays(self, models, a_model_file):
        import_model(a_model_file)
        (models / "notes.txt").write_text("mine")
        shutil.copy(a_model_file, models / "mine.safetensors")
        remove_downloads()
        assert sorted(p.name for p in models.iterdir()) == ["mine.safetensors", "notes.txt"]
        assert names() == ["bundled", "mine"]

    def test_a_model_that_the_user_replaced_stays(self, models, a_model_file):
        import_model(a_model_file)
        (models / "small.safetensors").write_bytes(b"the user's own")
        assert remove_downloads() == 0
        assert (models / "small.safetensors").read_bytes() == b"the user's own"

    @pytest.mark.parametrize(
        "listed", ['{"models": {"../../precious.safetensors": {"sha256": "%s"}}}', "[1", '{"models": 3}']
    )
    def test_a_list_that_was_tampered_with_removes_nothing_elsewhere(self, models, a_model_file, listed):
        from QualitySentinelLib.files import sha256_of

        import_model(a_model_file)
        precious = models.parent.parent / "precious.safetensors"
        precious.write_bytes(b"precious")
        (models / "imported.json").write_text(listed.replace("%s", sha256_of(precious)))
        remove_downloads()
        assert precious.exists()


class TestPlaces:
    def test_inside_slicer_the_folder_lies_beside_the_settings(self, slicer, monkeypatch, tmp_path):
        settings = str(tmp_path / "slicer.org" / "Slicer.ini")
        monkeypatch.setattr(slicer.app, "slicerUserSettingsFilePath", settings, raising=False)
        assert model_folder() == tmp_path / "slicer.org" / "QualitySentinel" / "Models"

    def test_the_command_line_imports_and_lists_models(self, models, a_model_file, capsys):
        assert main(["info", "--json", "--import-model", str(a_model_file)]) == 0
        info = json.loads(capsys.readouterr().out)
        assert info["model"]["name"] == "small" and info["imported"][0]["name"] == "small"
        assert main(["info"]) == 0
        assert f"imported:   {models / 'small.safetensors'} (copy of small.safetensors)" in capsys.readouterr().out

    def test_embeddings_alone_are_a_wrong_command(self, models, tmp_path, capsys):
        assert main(["info", "--embeddings", str(tmp_path / "label_embedding.pkl")]) == 2
        assert "--import-model" in capsys.readouterr().err
