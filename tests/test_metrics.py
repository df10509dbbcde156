import doctest
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.functional import classification as reference

import brainseg.metrics
from brainseg.metrics import SCORES, PatientScores, accuracy, count, dice, iou, precision, recall

Score = Callable[[Tensor], Tensor]


def random_masks(*shape: int, share: float, seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < share


@pytest.fixture
def preds() -> Tensor:
    return random_masks(10, 2, 32, 32, share=0.3, seed=0)


@pytest.fixture
def mask() -> Tensor:
    mask = random_masks(10, 2, 32, 32, share=0.2, seed=1).float()
    mask[5:8] = 0
    return mask


@pytest.fixture
def patient() -> Tensor:
    return torch.tensor([2, 0, 0, 3, 0, 0, 2, 3, 0, 0])  # patient 1 is never seen


def scored(patients: int, *batches: tuple[Tensor, Tensor, Tensor]) -> PatientScores:
    scores = PatientScores(patients, regions=batches[0][0].shape[1])
    for batch in batches:
        scores.update(*batch)
    return scores


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (dice, 2 * 6 / (8 + 10)),
        (iou, 6 / (8 + 10 - 6)),
        (precision, 6 / 8),
        (recall, 6 / 10),
        (accuracy, (100 - 2 - 4) / 100),
    ],
)
def test_score_is_the_number_by_hand(score: Score, expected: float) -> None:
    counts = torch.tensor([6, 8, 10, 100])  # 2 false positives, 4 misses

    assert score(counts).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("pred", "target", "expected"),
    [
        (0, 0, {"dice": 1, "iou": 1, "precision": 1, "recall": 1, "accuracy": 1}),
        (5, 0, {"dice": 0, "iou": 0, "precision": 0, "recall": 0, "accuracy": 0.95}),
        (0, 5, {"dice": 0, "iou": 0, "precision": 0, "recall": 0, "accuracy": 0.95}),
    ],
    ids=["both_empty", "mask_empty", "prediction_empty"],
)
def test_convention_for_empty_masks(pred: int, target: int, expected: float) -> None:
    counts = torch.tensor([0, pred, target, 100])
    found = {name: score(counts).item() for name, score in SCORES.items()}

    assert found == pytest.approx(expected)


def test_scores_keep_the_leading_shape() -> None:
    counts = torch.tensor([[[1, 2, 3, 9], [0, 0, 0, 9]]] * 5)

    assert all(score(counts).shape == (5, 2) for score in SCORES.values())


def test_counts_match_numpy(preds: Tensor, mask: Tensor) -> None:
    p, m = preds.numpy(), mask.numpy().astype(bool)
    expected = [(p & m).sum((2, 3)), p.sum((2, 3)), m.sum((2, 3)), np.full((10, 2), 32 * 32)]

    np.testing.assert_array_equal(count(preds, mask), np.stack(expected, axis=-1))


def test_mask_of_0_and_255_scores_as_one_of_0_and_1(preds: Tensor, mask: Tensor) -> None:
    assert torch.equal(count(preds, (255 * mask).byte()), count(preds, mask))


def test_probabilities_are_refused(preds: Tensor, mask: Tensor) -> None:
    message = "preds of torch.float32; must be bool; give `logits > 0`"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        count(preds.float(), mask)


def test_shapes_that_would_broadcast_are_refused(preds: Tensor, mask: Tensor) -> None:
    with pytest.raises(ValueError, match="must be the preds' "):
        count(preds, mask[:, :1])


def test_patient_scores_match_torchmetrics_on_whole_volumes(
    preds: Tensor, mask: Tensor, patient: Tensor
) -> None:
    found = scored(4, (preds, mask, patient)).compute()

    for name, function in {
        "dice": reference.binary_f1_score,
        "iou": reference.binary_jaccard_index,
        "precision": reference.binary_precision,
        "recall": reference.binary_recall,
        "accuracy": reference.binary_accuracy,
    }.items():
        by_volume = [
            function(preds[patient == p, k].int(), mask[patient == p, k].int())
            for p in (0, 2, 3)
            for k in (0, 1)
        ]
        assert found[name].item() == pytest.approx(torch.stack(by_volume).mean().item()), name


@pytest.mark.filterwarnings("default")  # MONAI warns of its own imports
def test_patient_dice_matches_monai_on_whole_volumes(
    preds: Tensor, mask: Tensor, patient: Tensor
) -> None:
    monai = pytest.importorskip("monai.metrics")
    volumes = [  # [1, K, D, H, W]
        (preds[patient == p].movedim(1, 0)[None], mask[patient == p].movedim(1, 0)[None])
        for p in (0, 2, 3)
    ]
    expected = torch.cat([monai.compute_dice(*volume) for volume in volumes]).mean()

    found = scored(4, (preds, mask, patient)).compute()["dice"]
    assert found.item() == pytest.approx(expected.item())


def test_a_patient_of_many_slices_weighs_as_much_as_one_of_few() -> None:
    mask = torch.ones(9, 1, 4, 4)
    preds = mask.bool()
    preds[8] = False  # the whole of patient 1
    patient = torch.tensor([0] * 8 + [1])

    assert scored(2, (preds, mask, patient)).compute()["dice"].item() == 0.5


def test_an_empty_slice_adds_nothing_to_its_patient_but_its_false_positives() -> None:
    preds = torch.ones(1, 1, 4, 4, dtype=torch.bool)
    mask, first = torch.ones(1, 1, 4, 4), torch.tensor([0])
    right = (preds, mask, first)

    assert scored(1, right, (~preds, 0 * mask, first)).compute()["dice"].item() == 1
    assert scored(1, right, (preds, 0 * mask, first)).compute()["dice"].item() == pytest.approx(
        2 / 3
    )


def test_predicting_nothing_scores_zero_though_its_accuracy_is_high(
    mask: Tensor, patient: Tensor
) -> None:
    small = torch.zeros_like(mask)
    small[..., :3, :3] = 1
    found = scored(4, (torch.zeros_like(mask, dtype=torch.bool), small, patient)).compute()

    assert found["dice"].item() == found["iou"].item() == found["recall"].item() == 0
    assert found["accuracy"].item() == pytest.approx(1 - 9 / 1024)


@pytest.mark.parametrize("batch_size", [1, 3, 10])
def test_scores_do_not_depend_on_batch_size_or_order(
    preds: Tensor, mask: Tensor, patient: Tensor, batch_size: int
) -> None:
    order = torch.randperm(10, generator=torch.Generator().manual_seed(0))
    batches = [(preds[rows], mask[rows], patient[rows]) for rows in order.split(batch_size)]

    assert scored(4, *batches).compute() == scored(4, (preds, mask, patient)).compute()


def test_devices_that_saw_parts_of_a_patient_add_up(
    preds: Tensor, mask: Tensor, patient: Tensor
) -> None:
    first = scored(4, (preds[:4], mask[:4], patient[:4]))
    first.merge_state(scored(4, (preds[4:], mask[4:], patient[4:])))

    assert first.compute() == scored(4, (preds, mask, patient)).compute()


def test_patients_not_seen_do_not_count(preds: Tensor, mask: Tensor, patient: Tensor) -> None:
    few = scored(4, (preds, mask, patient))
    many = scored(400, (preds, mask, patient))

    assert few.compute() == many.compute()
    assert (few.counts[:, 0, 3] > 0).tolist() == [True, False, True, True]


def test_counts_are_exact_beyond_the_integers_of_float32() -> None:
    one = torch.ones(1, 1, 1, 1)
    scores = PatientScores(1)
    scores.counts.fill_(2**24)
    scores.update(one.bool(), one, torch.tensor([0]))

    assert (scores.counts == 2**24 + 1).all()


def test_reset_forgets_every_patient(preds: Tensor, mask: Tensor, patient: Tensor) -> None:
    scores = scored(4, (preds, mask, patient))
    scores.reset()

    assert scores.counts.count_nonzero() == 0


def test_neither_update_nor_compute_reads_a_value_from_the_device(
    preds: Tensor, mask: Tensor, patient: Tensor
) -> None:
    scores = PatientScores(4, regions=2).to("meta")  # where reading a value raises
    scores.update(preds.to("meta"), mask.to("meta"), patient.to("meta"))

    assert scores.compute()["dice"].shape == ()


def test_counts_stay_out_of_checkpoints() -> None:
    assert PatientScores(4).state_dict() == {}


def test_example_in_the_docstring_runs() -> None:
    assert doctest.testmod(brainseg.metrics).failed == 0
