"""The training loop: what it draws, that it goes on where it was killed, and damaged files on its way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from QualitySentinelLib.checkpoint import QualityModel
from QualitySentinelLib.errors import InputError, ModelError, UsageError
from QualitySentinelLib.network import build_network
from QualitySentinelLib.slices import COMPACT
from QualitySentinelLib.slices.place import LATERAL
from QualitySentinelLib.text import EmbeddingTable
from QualitySentinelLib.volume import AxialFrame, CtVolume
from QualitySentinelTrainingLib.candidates import simulated_candidates
from QualitySentinelTrainingLib.option_files import parsed_change
from QualitySentinelTrainingLib.pairs import make_pairs, pair_files, write_pairs
from QualitySentinelTrainingLib.subjects import Subject
from QualitySentinelTrainingLib.training import TrainingOptions, fit, read_options
from QualitySentinelTrainingLib.training.data import EpochSampler, PairDataset
from QualitySentinelTrainingLib.training.fit import LAST
from QualitySentinelTrainingLib.training.module import QualityRegression
from QualitySentinelTrainingLib.training.options import CONFIGS
from QualitySentinelTrainingLib.training.renaming import Renaming, may_overlap

PRESET = replace(COMPACT, name="tiny", size=32)
TINY = TrainingOptions(epochs=2, batch_size=8, accelerator="cpu", devices=1, workers=0)


def a_tiny_model() -> QualityModel:
    """A network that draws the reference, of a few thousand weights, always the same."""
    architecture = {
        "kind": "compact", "embedding_dim": 4, "in_channels": PRESET.channels, "mask_channel": PRESET.mask_channel,
        "widths": [4, 8, 8, 8], "blocks": [1, 1, 1, 1], "map_width": 8, "condition_dim": 8, "head_dim": 8,
    }  # fmt: skip
    torch.manual_seed(0)
    table = EmbeddingTable("random", "{}", ("liver", "spleen"), np.eye(2, 4, dtype=np.float32))
    return QualityModel("tiny", build_network(architecture), architecture, PRESET, table)


@pytest.fixture(scope="module")
def pairs(a_torso, tmp_path_factory) -> Path:
    """A folder of three pair files: two of a data set, one phantom."""
    folder = tmp_path_factory.mktemp("pairs")
    frame = AxialFrame.from_affine(a_torso.ijk_to_ras, a_torso.hu.shape)
    for seed, (name, source) in enumerate({"a": "Real", "b": "Real", "phantom_1": "phantom"}.items()):
        subject = Subject(name, CtVolume(a_torso.hu, frame), a_torso.labels, a_torso.names, source)
        rng = np.random.default_rng(seed)
        made = make_pairs(subject, simulated_candidates(subject, rng, 4), rng, PRESET, 2, 1)
        write_pairs(made, folder / f"{name}.pairs.h5", PRESET)
    return folder


def dataset_of(paths, **options) -> PairDataset:
    return PairDataset(paths, a_tiny_model().table, PRESET, TrainingOptions(**options))


def sampler_of(dataset: PairDataset, count: int, shares: dict, empty: float, **options) -> EpochSampler:
    return EpochSampler(
        dataset, TrainingOptions(pairs_per_epoch=count, source_shares=shares, empty_share=empty, **options)
    )


def weights(model: QualityModel) -> torch.Tensor:
    return torch.cat([value.flatten().float() for value in model.network.state_dict().values()])


def drawn(monkeypatch) -> list[list[int]]:
    """The pairs of every batch that is read from now on."""
    batches, read = [], PairDataset.__getitems__
    monkeypatch.setattr(
        PairDataset, "__getitems__", lambda self, indices: (batches.append(list(indices)), read(self, indices))[1]
    )
    return batches


def killed_in_epoch(monkeypatch, epoch: int) -> None:
    step = QualityRegression.training_step

    def dying(self, batch, batch_index):
        if self.current_epoch == epoch:
            raise RuntimeError("killed")
        return step(self, batch, batch_index)

    monkeypatch.setattr(QualityRegression, "training_step", dying)


# ------------------------------------------------------------------------------------------------ what is drawn


def test_the_sampler_takes_every_pair_before_any_again_and_keeps_the_shares(pairs):
    dataset = dataset_of(pair_files(pairs))
    sampler = sampler_of(dataset, 20, {"phantom": 3.0}, 0.3, seed=1)
    epochs = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        epochs.append(list(sampler))
        assert len(epochs[-1]) == len(sampler) == 20
    phantom = dataset.source == dataset.sources.index("phantom")
    assert np.isclose(phantom[epochs[0]].mean(), 0.75, atol=0.05)
    assert np.isclose(dataset.empty[epochs[0]].mean(), 0.3, atol=0.05)
    for group in (phantom & ~dataset.empty, ~phantom & ~dataset.empty):
        rows = [row for epoch in epochs for row in epoch if group[row]]
        fewest, most = len(rows) // group.sum(), -(-len(rows) // group.sum())
        counts = np.bincount(rows, minlength=len(group))[group]
        assert counts.min() >= fewest and counts.max() <= most
    assert epochs[0] != epochs[1]
    sampler.set_epoch(1)
    assert list(sampler) == epochs[1]


def test_the_sampler_keeps_the_shares_of_origins_within_each_source(pairs):
    dataset = dataset_of(pair_files(pairs))
    dataset.origins = ["network", "simulated"]
    dataset.origin = (np.arange(len(dataset)) % 4 > 0).astype(np.int8)  # a quarter is a network's
    phantom = dataset.source == dataset.sources.index("phantom")
    dataset.origin[phantom] = 1
    rows = np.array(list(sampler_of(dataset, 400, {}, 0.2, seed=1, origin_shares={"network": 3.0})))
    of_networks = dataset.origin[rows] == 0
    assert np.isclose(of_networks[~phantom[rows]].mean(), 0.75, atol=0.02)
    assert np.isclose(phantom[rows].mean(), 0.5, atol=0.02)  # a source without network masks keeps its share
    assert np.isclose(dataset.empty[rows].mean(), 0.2, atol=0.02)
    without = list(sampler_of(dataset, 400, {}, 0.2, seed=1, origin_shares={"network": 0.0}))
    assert not (dataset.origin[without] == 0).any()


def test_every_pair_once_when_no_number_is_given(pairs):
    dataset = dataset_of(pair_files(pairs))
    assert sorted(sampler_of(dataset, 0, {}, 0.2)) == list(range(len(dataset)))


def test_shares_that_leave_nothing_are_refused(pairs):
    with pytest.raises(InputError, match="source_shares"):
        sampler_of(dataset_of(pair_files(pairs)), 10, {"phantom": 0.0, "Real": 0.0}, 0.2)


def test_shares_that_do_nothing_are_named(pairs, tmp_path, caplog):
    shares = {"source_shares": {"Reel": 0.1}, "origin_shares": {"networks": 0.5}, "mirror": ("Riil",)}
    fit(a_tiny_model(), pair_files(pairs), replace(TINY, epochs=1, pairs_per_epoch=8, **shares), tmp_path / "a")
    assert any("no pairs come from Reel" in text and "Real" in text for text in caplog.messages)
    assert any("no pairs come from networks" in text and "simulated" in text for text in caplog.messages)
    assert any("no pairs come from Riil" in text for text in caplog.messages)
    caplog.clear()
    every_pair = replace(TINY, epochs=1, most_pairs=8, source_shares={"Real": 0.1})
    fit(a_tiny_model(), pair_files(pairs), every_pair, tmp_path / "b")
    assert any("pairs_per_epoch" in text for text in caplog.messages)


@pytest.mark.parametrize("option", [{"accelerator": "gpu"}, {"accelerator": "abacus"}, {"precision": "7-bit"},
                                    {"devices": 0}, {"strategy": "luck"}])  # fmt: skip
def test_devices_that_cannot_be_had_are_refused_in_one_line(pairs, tmp_path, option, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(ModelError, match="not available here.*--set accelerator=cpu") as refused:
        fit(a_tiny_model(), pair_files(pairs), replace(TINY, **option), tmp_path)
    ((name, value),) = option.items()
    assert f"{name} {value}" in str(refused.value) and "\n" not in str(refused.value)


def test_structures_can_be_left_out_and_pairs_be_fewer(pairs):
    everything = dataset_of(pair_files(pairs)).trained_on()
    assert everything["structures"] == ["liver", "spleen"]
    assert everything["sources"]["Real"]["persons"] == ["a", "b"]
    assert everything["patients"]["liver"] == 2
    assert everything["pairs"] == sum(source["pairs"] for source in everything["sources"].values())
    assert dataset_of(pair_files(pairs), leave_out=("spleen",)).trained_on()["structures"] == ["liver"]
    few = dataset_of(pair_files(pairs), most_pairs=7)
    assert len(few) == few.trained_on()["pairs"] == 7
    images, reference, *_ = few.__getitems__([0, 6])
    assert images.shape == (2, 4, 32, 32) and reference.shape == (2, 32, 32)


NAMES = ("liver", "spleen", "lung left", "lung right")


@pytest.fixture(scope="module")
def sided(a_torso, tmp_path_factory) -> Path:
    """Pair files of a data set and of a phantom, with both lungs beside liver and spleen."""
    folder = tmp_path_factory.mktemp("sided")
    frame = AxialFrame.from_affine(a_torso.ijk_to_ras, a_torso.hu.shape)
    labels = a_torso.labels.copy()
    lungs = a_torso.hu == np.clip(a_torso.hu, -900, -700)
    labels[:, :, :24][lungs[:, :, :24]], labels[:, :, 24:][lungs[:, :, 24:]] = 7, 8
    names = a_torso.names | {7: "lung right", 8: "lung left"}
    for name, source in {"a": "Real", "phantom_1": "phantom"}.items():
        subject = Subject(name, CtVolume(a_torso.hu, frame), labels, names, source)
        rng = np.random.default_rng(1)
        made = make_pairs(subject, simulated_candidates(subject, rng, 5), rng, PRESET, 3, 1)
        write_pairs(made, folder / f"{name}.pairs.h5", PRESET)
    return folder


def told(pairs, **options) -> tuple[PairDataset, dict[str, torch.Tensor]]:
    """Pairs whose names can be read off their embeddings, and these."""
    table = EmbeddingTable("random", "{}", NAMES, np.eye(len(NAMES), 4, dtype=np.float32))
    made = PairDataset(pair_files(pairs), table, PRESET, TrainingOptions(**options))
    return made, {n: torch.tensor(table.vector(n)) for n in NAMES}


def test_mirrored_pairs_bear_the_other_sides_name(sided):
    plain, vectors = told(sided)
    mirrored, _ = told(sided, mirror=("Real",))
    rows = list(range(len(plain)))
    before, after = plain.__getitems__(rows), mirrored.__getitems__(rows)
    flipped = ~np.array([torch.equal(a, b) for a, b in zip(before[0], after[0], strict=True)])
    real = np.array(plain.sources)[plain.source] == "Real"
    assert 0.3 < flipped[real].mean() < 0.7 and not flipped[~real].any()
    other, seen = {"lung left": "lung right", "lung right": "lung left"}, set()
    for row in np.flatnonzero(flipped):
        for pictures in (0, 1):
            assert torch.equal(after[pictures][row], before[pictures][row].flip(-1))
        name = next(name for name, vector in vectors.items() if torch.equal(before[2][row], vector))
        assert torch.equal(after[2][row], vectors[other.get(name, name)])
        seen.add(name)
        assert torch.equal(after.locator[row], before.locator[row].flip(-1))
        assert after.place[row, LATERAL] == -before.place[row, LATERAL]
        assert after.claims[row, 0] == -before.claims[row, 0]
    assert seen == set(NAMES)
    assert all(torch.equal(a, b) for a, b in zip(before[3:6], after[3:6], strict=True))


def test_a_good_mask_told_a_wrong_name_has_dsc_0_and_says_nothing_of_what_is_beside_it(sided):
    plain, vectors = told(sided)
    wrong, _ = told(sided, wrong_name_share=1.0)
    rows = list(range(len(plain)))
    before, after = plain.__getitems__(rows), wrong.__getitems__(rows)
    good = ~plain.empty & (before[4].numpy() >= 0.7)
    renamed = after[5].numpy() == 0
    assert good.any() and not good.all() and np.array_equal(renamed, good)
    assert torch.equal(after[0], before[0])
    assert not after[4][renamed].any() and not after[1][renamed].any()
    assert not (after[2] == before[2]).all(dim=1)[renamed].any()
    left = (before[2] == vectors["lung left"]).all(dim=1) & torch.from_numpy(renamed)
    told_right = (after[2] == vectors["lung right"]).all(dim=1)[left]
    assert told_right.any() and not told_right.all()
    for of_before, of_after in zip(before, after, strict=True):
        assert torch.equal(of_before[~renamed], of_after[~renamed])


def test_wrong_names_lie_near_and_cannot_overlap():
    assert may_overlap("lung left", "lung upper lobe left") and may_overlap("kidney", "kidney left")
    assert may_overlap("spinal cord", "spinal canal") and may_overlap("heart", "pulmonary artery")
    assert not may_overlap("kidney left", "kidney right") and not may_overlap("liver", "spleen")
    assert not may_overlap("lung left", "lung right")
    names = ["vertebra T11", "costa 3 left", "liver", "eyeball left", "uterus"]
    table = EmbeddingTable("random", "{}", (*names, "vertebra T12", "costa 3 right"), np.eye(7, dtype=np.float32))
    structure, file, yes = np.arange(3).repeat(200), np.arange(600), np.ones(600, bool)
    renaming = Renaming([*names[:3], "vertebra T12"], structure, file, ~yes, yes, 1.0, table, 0)
    wrong = renaming.draw(range(600)).vectors.argmax(axis=1).reshape(3, 200)
    assert (wrong[0] == 5).mean() > 0.3  # the next vertebra
    assert (wrong[1] == 6).mean() > 0.5  # the other side, which no pair has
    assert not (wrong == np.arange(3)[:, None]).any() and not np.isin(wrong, (3, 4)).any()
    unheard = Renaming(names[:3], structure, file, ~yes, yes, 0.0, table, 0, unheard_share=0.5).draw(range(600))
    assert not unheard.wrong.any()
    told = unheard.vectors.argmax(axis=1).reshape(3, 200)
    assert set(told[0]) == {0, 4, 5} and set(told[1]) == {1, 3} and set(told[2]) == {2, 4, 5}


def test_what_a_batch_is_told_is_the_same_whenever_it_is_read(sided):
    options = {"mirror": ("Real",), "wrong_name_share": 0.5, "seed": 3}
    rows = [5, 2, 9, 14, 3, 30, 21, 8]
    first, again = (told(sided, **options)[0].__getitems__(rows) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_a_network_without_a_neighbour_channel_is_shown_no_empty_slices(pairs):
    everything = dataset_of(pair_files(pairs))
    plain = PairDataset(pair_files(pairs), a_tiny_model().table, replace(PRESET, neighbour=False), TINY)
    assert everything.empty.any() and not plain.empty.any()
    assert len(plain) == np.count_nonzero(~everything.empty)


# ------------------------------------------------------------------------------------------------ going on


def test_a_run_that_was_killed_draws_and_learns_what_the_unbroken_one_does(pairs, tmp_path, monkeypatch):
    batches, unbroken = drawn(monkeypatch), a_tiny_model()
    fit(unbroken, pair_files(pairs), TINY, tmp_path / "unbroken")
    per_epoch = len(batches) // 2
    assert batches[:per_epoch] != batches[per_epoch:]  # epochs draw in different order
    wanted = [*batches]

    batches.clear()
    with monkeypatch.context() as patch:
        killed_in_epoch(patch, 1)
        with pytest.raises(RuntimeError, match="killed"):
            fit(a_tiny_model(), pair_files(pairs), TINY, tmp_path / "killed")
    assert (tmp_path / "killed" / LAST).exists()
    batches.clear()
    resumed = a_tiny_model()
    before = torch.load(tmp_path / "killed" / LAST, weights_only=True)["callbacks"]["_Clock"]["seconds"]
    _, seconds = fit(resumed, pair_files(pairs), replace(TINY, workers=0), tmp_path / "killed")
    assert seconds > before > 0  # of both starts
    assert batches == wanted[per_epoch:]
    torch.testing.assert_close(weights(resumed), weights(unbroken), rtol=1e-4, atol=1e-6)
    assert len(list((tmp_path / "killed" / "log").glob("start_*/metrics.csv"))) == 2  # the first log is not lost


def test_a_folder_with_another_run_is_refused(pairs, tmp_path):
    one_epoch = replace(TINY, epochs=1)
    fit(a_tiny_model(), pair_files(pairs), one_epoch, tmp_path)
    for options, paths in (
        (replace(one_epoch, learning_rate=1.0), pair_files(pairs)),
        (one_epoch, pair_files(pairs)[:2]),  # another fold
    ):
        with pytest.raises(InputError, match="other options or pair files"):
            fit(a_tiny_model(), paths, options, tmp_path)


def test_a_run_whose_pair_files_were_made_anew_is_refused(pairs, tmp_path):
    paths, one_epoch = copied(pairs, tmp_path / "pairs"), replace(TINY, epochs=1)
    fit(a_tiny_model(), paths, one_epoch, tmp_path / "out")
    with paths[0].open("ab") as file:
        file.write(b"more")
    with pytest.raises(InputError, match="other options or pair files"):
        fit(a_tiny_model(), paths, one_epoch, tmp_path / "out")


def test_a_damaged_state_is_named(pairs, tmp_path):
    one_epoch = replace(TINY, epochs=1)
    fit(a_tiny_model(), pair_files(pairs), one_epoch, tmp_path)
    (tmp_path / LAST).write_bytes((tmp_path / LAST).read_bytes()[:2000])
    with pytest.raises(InputError, match=f"{LAST}.*damaged.*delete it"):
        fit(a_tiny_model(), pair_files(pairs), one_epoch, tmp_path)


def test_a_kill_while_the_state_is_written_leaves_the_old_one(pairs, tmp_path, monkeypatch):
    fit(a_tiny_model(), pair_files(pairs), replace(TINY, epochs=1), tmp_path)
    before = (tmp_path / LAST).read_bytes()
    from QualitySentinelTrainingLib.training.fit import CheckpointFile

    def half_written(checkpoint, path):
        Path(path).write_bytes(b"half")
        raise OSError("killed")

    monkeypatch.setattr(torch, "save", half_written)
    with pytest.raises(InputError, match="cannot be written"):
        CheckpointFile().save_checkpoint({}, tmp_path / LAST)
    assert (tmp_path / LAST).read_bytes() == before


DRIVER = """
import sys
sys.path[:0] = {paths!r}
from pathlib import Path
from dataclasses import replace
import test_training as t
from QualitySentinelTrainingLib.training.data import PairDataset

if __name__ == "__main__":
    pairs, out = Path(sys.argv[1]), Path(sys.argv[2])
    options = replace(t.TINY, **eval(sys.argv[3]))
    t.fit(t.a_tiny_model(), t.pair_files(pairs), options, out)
    print("finished")
"""


def driver(tmp_path: Path) -> Path:
    root = Path(__file__).resolve().parents[3]
    paths = [str(root / "QualitySentinel"), str(root / "QualitySentinelTraining"), str(Path(__file__).parent)]
    path = tmp_path / "driver.py"
    path.write_text(DRIVER.format(paths=paths), encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_training_goes_on_after_kill_9_with_only_the_running_epoch_lost(pairs, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, driver(tmp_path), pairs, out, "dict(epochs=400)"]
    process = subprocess.Popen([str(a) for a in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 200
        while not (out / LAST).exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        assert (out / LAST).exists()
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    state = torch.load(out / LAST, weights_only=True)  # whole, although the process was killed
    done = state["epoch"] + 1
    assert 1 <= done < 400
    killed_in_epoch_after = []

    step = QualityRegression.training_step
    try:
        QualityRegression.training_step = lambda self, batch, index: (
            killed_in_epoch_after.append(self.current_epoch), step(self, batch, index)
        )[1]  # fmt: skip
        QualityRegression.on_train_epoch_end = lambda self: setattr(
            self.trainer, "should_stop", len(set(killed_in_epoch_after)) == 2
        )
        fit(a_tiny_model(), pair_files(pairs), replace(TINY, epochs=400), out)
    finally:
        QualityRegression.training_step = step
        del QualityRegression.on_train_epoch_end
    assert sorted(set(killed_in_epoch_after)) == [done, done + 1]


# ------------------------------------------------------------------------------------------------ machines


@pytest.mark.slow
def test_two_processes_share_the_pairs_and_end_with_the_same_weights(pairs, tmp_path):
    code = """
read = PairDataset.__getitems__
import os
def noting(self, indices):
    with open(Path(sys.argv[2]) / f"rank_{os.environ.get('LOCAL_RANK', 0)}.txt", "a") as file:
        file.write(" ".join(map(str, indices)) + "\\n")
    return read(self, indices)
PairDataset.__getitems__ = noting
"""
    path = driver(tmp_path)
    text = path.read_text().replace("\nif __name__", code + "\nif __name__").replace(
        'print("finished")',
        't.torch.save(t.weights(model), out / f"weights_{os.environ.get(\'LOCAL_RANK\', 0)}.pt")',
    )  # fmt: skip
    text = text.replace("t.fit(t.a_tiny_model(), ", "model = t.a_tiny_model(); t.fit(model, ")
    path.write_text(text, encoding="utf-8")
    out = tmp_path / "out"
    out.mkdir()
    command = [sys.executable, path, pairs, out, "dict(epochs=1, devices=2, strategy='ddp')"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([str(a) for a in command], capture_output=True, text=True, env=environment, timeout=400)
    assert done.returncode == 0, done.stderr
    ranks = [{*map(int, (out / f"rank_{rank}.txt").read_text().split())} for rank in (0, 1)]
    assert all(ranks) and not ranks[0] & ranks[1]
    first, second = (torch.load(out / f"weights_{rank}.pt", weights_only=True) for rank in (0, 1))
    running = a_tiny_model().network.state_dict()  # statistics of batch normalisation are each process's own
    trained = torch.cat([torch.full((v.numel(),), "running" not in k) for k, v in running.items()])
    torch.testing.assert_close(first[trained], second[trained])
    assert not torch.equal(first, weights(a_tiny_model()))


def test_half_precision_trains_on_the_cpu(pairs, tmp_path):
    model = a_tiny_model()
    fit(model, pair_files(pairs), replace(TINY, epochs=1, precision="bf16-mixed"), tmp_path)
    assert torch.isfinite(weights(model)).all()
    assert next(model.network.parameters()).dtype == torch.float32


def test_a_user_sees_the_progress_and_no_warnings(pairs, tmp_path, capfd, recwarn):
    fit(a_tiny_model(), pair_files(pairs), replace(TINY, epochs=1), tmp_path)
    out, err = capfd.readouterr()
    assert "Epoch 0" in out + err
    assert not [str(w.message) for w in recwarn]
    assert "GPU available" not in out + err and "💡" not in out + err


# ------------------------------------------------------------------------------------------------ damaged files


def copied(pairs: Path, folder: Path) -> list[Path]:
    folder.mkdir()
    for path in pair_files(pairs):
        (folder / path.name).write_bytes(path.read_bytes())
    return pair_files(folder)


def test_a_file_that_cannot_be_opened_is_named_and_skipped(pairs, tmp_path, caplog):
    paths = copied(pairs, tmp_path / "pairs")
    paths[0].write_bytes(b"nothing of ours")
    dataset, _ = fit(a_tiny_model(), paths, replace(TINY, epochs=1), tmp_path / "out")
    assert dataset.trained_on()["sources"]["Real"]["persons"] == ["b"]
    assert [str(paths[0]) in record.getMessage() for record in caplog.records if "skipped" in record.message] == [True]


def test_a_damaged_picture_met_in_training_is_named_and_replaced(pairs, tmp_path, caplog):
    paths = copied(pairs, tmp_path / "pairs")
    import h5py

    with h5py.File(paths[1]) as file:
        places = [file["images"].id.get_chunk_info(n) for n in range(file["images"].id.get_num_chunks())]
    content = bytearray(paths[1].read_bytes())
    for place in places:
        content[place.byte_offset + place.size // 2] ^= 0xFF
    paths[1].write_bytes(content)
    fit(a_tiny_model(), paths, replace(TINY, epochs=1), tmp_path / "out")
    named = [record.getMessage() for record in caplog.records if "skipped" in record.message]
    assert len(named) == 1 and str(paths[1]) in named[0]


def test_nothing_but_damaged_files_is_an_error(pairs, tmp_path):
    paths = copied(pairs, tmp_path / "pairs")
    for path in paths:
        path.write_bytes(b"")
    with pytest.raises(InputError, match="no usable pair file"):
        fit(a_tiny_model(), paths, TINY, tmp_path / "out")


def test_more_files_than_may_be_open_at_once(pairs, monkeypatch):
    monkeypatch.setattr("QualitySentinelTrainingLib.training.data._MOST_OPEN", 1)
    dataset = dataset_of(pair_files(pairs))
    order = [0, len(dataset) - 1, 1]
    again = dataset_of(pair_files(pairs))
    assert torch.equal(again.__getitems__(order)[0], torch.cat([dataset.__getitems__([i])[0] for i in order]))
    assert len(dataset._open) == 1


# ------------------------------------------------------------------------------------------------ options


def test_options_come_from_one_file_and_changes_to_it(tmp_path):
    path = tmp_path / "train.toml"
    path.write_text('epochs = 3\nlearning_rate = 1\nleave_out = ["liver"]\n[source_shares]\nphantom = 0.5\n')
    options = read_options(path, **dict(map(parsed_change, ["batch_size=16", "precision=bf16-mixed", "devices = 2"])))
    assert options == TrainingOptions(
        epochs=3, learning_rate=1.0, leave_out=("liver",), source_shares={"phantom": 0.5}, batch_size=16,
        precision="bf16-mixed", devices=2,
    )  # fmt: skip
    assert json.dumps(options.learning_rate) == "1.0"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_examples_of_options_are_valid_and_found_by_name(path):
    assert read_options(path) == read_options(path.stem) != TrainingOptions()


@pytest.mark.parametrize(
    ("text", "problem"),
    [("epoch = 3", "'epoch' is not an option; perhaps epochs"), ('epochs = "3"', "should be a valid integer"),
     ("epochs = 0", "greater than 0"), ("empty_share = 2", "less than or equal to 1"),
     ("epochs", "not a readable TOML file"), ("[source_shares]\nphantom = -1", "source_shares")],
)  # fmt: skip
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path, text, problem):
    path = tmp_path / "train.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=f"train.toml: .*{problem}"):
        read_options(path)


@pytest.mark.parametrize(
    "text",
    [
        "epochs",
        "=3",
        "epochs=",
        "epochs=0",
        "no=1",
        "text=latin",
        "learning_rate=0",
        "learning_rate=nan",
        "weight_decay=-1",
        "jitter_hu=-3",
        'leave_out=["livr"]',
    ],
)
def test_a_wrong_change_is_refused(text):
    with pytest.raises(UsageError):
        read_options(None, **dict([parsed_change(text)]))


def test_turning_a_pair_leaves_its_dsc():
    """Picture, mask and reference move together, so the DSC of the slice is still true."""
    regression = QualityRegression(a_tiny_model(), replace(TINY, turn_degrees=15.0, zoom=0.1, shift=0.05))
    grid = torch.stack(torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij"))
    masks = ((grid - 15.0).norm(dim=0) < 7).float()
    reference = ((grid - torch.tensor([17.0, 15.0]).view(2, 1, 1)).norm(dim=0) < 6).float()
    images = torch.zeros(6, PRESET.channels, 32, 32)
    images[:, PRESET.mask_channel] = masks
    torch.manual_seed(1)
    moved, references, pixel_mm = regression._moved(images, reference.expand(6, 32, 32), torch.ones(6))
    new = moved[:, PRESET.mask_channel]

    def dsc(a, b):
        return 2 * (a * b).sum(dim=(-2, -1)) / (a.sum(dim=(-2, -1)) + b.sum(dim=(-2, -1)))

    assert (dsc(new, references) - dsc(masks, reference)).abs().max() < 0.04
    assert (new - masks).abs().amax(dim=(-2, -1)).min() > 0.2  # each was moved
    areas_mm2 = new.sum(dim=(-2, -1)) * pixel_mm**2
    assert (areas_mm2 / masks.sum() - 1).abs().max() < 0.05  # in millimetres it has the size it had
