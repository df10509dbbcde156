import re
from pathlib import Path

import pytest

from brainseg import metrics
from brainseg.config import compose
from brainseg.files import write_whole
from brainseg.runs.cell import Cell
from brainseg.runs.folder import RunFolder
from brainseg.runs.identity import differences, folder_name, identity
from brainseg.values import SCORES, check
from tests.conftest import plain, tiny_cell, tiny_config

CHOICES = {"norm": "batch", "loss": "bce_dice"}


def named(*overrides: str) -> str:
    return folder_name(tiny_config(*overrides), CHOICES, tiny_config())


def test_a_folder_is_named_by_norm_loss_epochs_and_seed() -> None:
    assert named() == "batch-bce_dice-e2-s0"
    assert named("epochs=7", "seed=3") == "batch-bce_dice-e7-s3"


def test_any_other_change_adds_a_hash_that_does_not_depend_on_the_order() -> None:
    one = named("optimizer.lr=0.01", "sampler=uniform")
    assert one == named("sampler=uniform", "optimizer.lr=0.01")
    assert one.startswith("batch-bce_dice-e2-s0-")
    assert len({one, named(), named("optimizer.lr=0.01"), named("sampler=uniform")}) == 4


def test_a_default_given_by_hand_changes_no_name() -> None:
    assert named("optimizer.lr=0.001") == named()


@pytest.mark.parametrize(
    "override", ["data.root=/elsewhere", "name=x", "workers=3", "data.cache_dir=/c", "force=true"]
)
def test_paths_name_and_workers_are_not_part_of_the_identity(override: str) -> None:
    assert identity(tiny_config(override)) == identity(tiny_config())


@pytest.mark.parametrize(
    "override",
    [
        "norm.momentum=0.2",
        "loss.smooth=2",
        "split.fold=1",
        "trainer.precision=16-mixed",
        "augment=none",
        "seed=1",
        "epochs=3",
        "data.intensity=unit",
        "data.slices=tumour",
        "callbacks=early_stopping",
        "scheduler=cosine",
        "batch_size=2",
    ],
)
def test_what_changes_the_result_is_part_of_the_identity(override: str) -> None:
    assert identity(tiny_config(override)) != identity(tiny_config())


def test_folder_names_need_no_quoting() -> None:
    name = named("optimizer.lr=0.01", "data.modalities=[flair]")
    assert not set(name) & set("=, '\"/[]")


def test_the_folders_of_ab2aa83_are_found_by_their_names() -> None:
    words = ["data.size=128", "model.net.width=16", "epochs=3"]
    choices = {"norm": "batch", "loss": "bce_dice"}
    for sampler, digest in (("tumour", "bbcf13ef"), ("uniform", "33fb0fe3")):
        config = plain(compose([*words, f"sampler={sampler}"]))
        name = folder_name(config, choices, plain(compose([])), modules=True)
        assert name == f"batch-bce_dice-e3-s0-{digest}"  # as that revision made it


def test_a_run_from_before_a_key_is_the_one_with_its_default() -> None:
    now, before = tiny_config(), tiny_config()
    del before["data"]["slices"]  # up to fe7d797
    assert identity(before) == identity(now)
    assert folder_name(before, CHOICES, now) == folder_name(now, CHOICES, now)


def test_differences_name_the_keys() -> None:
    assert differences({"a": 1, "b": 2}, {"b": 3, "c": 4}) == [
        "a: 1 -> (absent)",
        "b: 2 -> 3",
        "c: (absent) -> 4",
    ]


def test_a_folder_with_another_configuration_is_refused_with_the_keys(tmp_path: Path) -> None:
    tiny_cell(tmp_path / "run").claim()
    with pytest.raises(ValueError, match=r"optimizer.lr: 0.001 -> 0.5.*force=true"):
        tiny_cell(tmp_path / "run", "optimizer.lr=0.5").claim()


def test_force_keeps_the_old_folder_aside(tmp_path: Path) -> None:
    old = tiny_cell(tmp_path / "run")
    old.claim()
    (old.folder / "metrics.json").write_text("{}")
    new = tiny_cell(tmp_path / "run", "optimizer.lr=0.5", "force=true")
    new.claim()
    assert not new.finished
    (aside,) = tmp_path.glob("run.*.old")
    assert (aside / "metrics.json").read_text() == "{}"


def test_the_same_cell_claims_its_folder_again(tmp_path: Path) -> None:
    cell = tiny_cell(tmp_path / "run")
    cell.claim()
    cell.claim()
    assert cell.owns_folder()
    assert RunFolder(cell.folder).config == cell.config


STOPPING = "callbacks=early_stopping callbacks.early_stopping."


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs=0", "epochs=0 must be a whole number >= 1"),
        ("epochs=1.5", "epochs=1.5"),
        ("epochs=many", "epochs='many' must be"),
        ("batch_size=0", "batch_size=0"),
        ("seed=-1", "seed=-1"),
        ("workers=-1", "workers=-1"),
        ("optimizer.lr=-1", "optimizer.lr=-1 must be a number > 0"),
        ("optimizer.lr=fast", "optimizer.lr=fast"),
        ("optimizer.lr=nan", "optimizer.lr=nan"),
        ("optimizer.weight_decay=-1", "optimizer.weight_decay=-1 must be 0 or more"),
        ("optimizer=sgd optimizer.momentum=1", "optimizer.momentum=1 must be 0 or more and below"),
        ("name=/tmp/x", "name=/tmp/x"),
        (f"name={'n' * 201}", "name=nnnnnnnnnnnnnnnnnnnn... must have at most 200 bytes"),
        ("+eopchs=3", "eopchs=3 is read by nothing"),
        ("~trainer +trainer.x=1", "trainer={'x': 1} has no accelerator; give trainer=OPTION"),
        ("trainer=[]", "trainer=[] must be one option of its group"),
        ("~augment", "~augment leaves out what every run needs; give augment=OPTION"),
        ("~callbacks", "~callbacks leaves out"),
        ("~sampler", "~sampler leaves out"),
        ("norm.momentum=5", "norm.momentum=5 must be above 0 and at most 1"),
        ("scheduler=plateau scheduler.patience=-1", "scheduler.patience=-1 must be 0 or more"),
        ("callbacks=early_stopping callbacks.early_stopping.patience=0", "patience=0 must be 1"),
        ("callbacks.panel.every=0", "callbacks.panel.every=0 must be 1 epoch or more"),
        (f"{STOPPING}monitor=val/auc", "monitor=val/auc must be a score of an epoch, such as val"),
        (f"{STOPPING}monitor=val/loss", "mode=max must be min for val/loss"),
        (f"{STOPPING}mode=min", "mode=min must be max for val/dice"),
        ("callbacks.early_stopping=true", "early_stopping=True must be null or have a _target_"),
        ("+trainer.limit_train_batches=0", "limit_train_batches=0 must be a whole number of"),
        ("+trainer.limit_val_batches=1.5", "or a share above 0 up to 1.0; leave it out for all"),
        ("+trainer.devices=2", "trainer.devices=2 must be left out"),
        ("+trainer.fast_dev_run=true", "trainer.fast_dev_run=True must be left out: use"),
        ("+trainer.check_val_every_n_epoch=2", "check_val_every_n_epoch=2 must be left out"),
        ("+trainer.enable_progress_bar=false", "enable_progress_bar=False must be left out"),
    ],
)
def test_bad_values_are_refused_in_one_line(override: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        check(tiny_config(*override.split()))
    assert "\n" not in str(error.value)


def test_seed_zero_is_a_seed() -> None:
    check(tiny_config("seed=0"))


@pytest.mark.parametrize("words", ["mode=min monitor=val/loss", "monitor=val/dice_wt", "mode=max"])
def test_a_score_may_stop_a_run(words: str) -> None:
    options = [f"callbacks.early_stopping.{word}" for word in words.split()]
    check(tiny_config("callbacks=early_stopping", *options))
    assert set(SCORES) == {"loss", *metrics.SCORES}


def test_a_failure_is_kept_with_its_reason(tmp_path: Path) -> None:
    cell: Cell = tiny_cell(tmp_path)
    assert cell.found().failure is None
    cell.found().keep_failure("no memory")
    assert cell.found().failure == "no memory"


def test_write_whole_leaves_no_partial_file(tmp_path: Path) -> None:
    write_whole(tmp_path / "a" / "b.txt", "text")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.txt"]


def test_a_module_of_ours_may_move_and_a_foreign_target_counts() -> None:
    config = tiny_config()
    config["loss"]["_target_"] = "brainseg.elsewhere.bce_dice_loss"
    here = identity(tiny_config())
    assert here["loss._target_"] == "bce_dice_loss"
    assert identity(config) == here
    config["loss"]["_target_"] = "mine.bce_dice_loss"
    assert differences(here, identity(config)) == [
        "loss._target_: bce_dice_loss -> mine.bce_dice_loss"
    ]


def test_a_cells_identity_is_worked_out_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = [tiny_cell(tmp_path / str(n), f"epochs={n}") for n in range(2, 6)]
    counted = []

    def count(config: object) -> dict[str, int]:
        counted.append(1)
        return {"epochs": 0}

    monkeypatch.setattr("brainseg.runs.cell.identity", count)
    for cell in cells * 3:
        cell.shorter(cells)
    assert len(counted) == len(cells)


def test_another_precision_names_the_one_to_go_on_with(tmp_path: Path) -> None:
    tiny_cell(tmp_path / "run", "trainer.precision=bf16-mixed").claim()
    with pytest.raises(ValueError, match=r"; go on with trainer\.precision=bf16-mixed, or choose"):
        tiny_cell(tmp_path / "run", "trainer.precision=32-true").claim()


def test_force_looks_at_an_empty_folder_until_the_old_one_is_aside(tmp_path: Path) -> None:
    old = tiny_cell(tmp_path / "run")
    old.claim()
    old.found().keep_failure("of the old one")
    new = tiny_cell(tmp_path / "run", "batch_size=2", "force=true")
    assert new.found().state == "new"
    assert new.epochs_left([]) == 2
