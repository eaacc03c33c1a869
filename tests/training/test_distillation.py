"""A teacher's predictions are mixed into the labels of a training batch, and into nothing else."""

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from lightning.pytorch import Trainer

from cardpose.common.errors import InputError
from cardpose.common.packet import CARDS_PER_DECK, MAX_CARDS, Batch
from cardpose.models import checkpoints
from cardpose.models.end_to_end import EndToEnd
from cardpose.models.from_config import end_to_end
from cardpose.training.callbacks.distillation import Distillation

BATCH, SIZE, SIGMA = 3, (48, 64), 1.0


class Student(torch.nn.Module):
    """What the callback asks of the module in training: another normalisation, and a loss with a sigma."""

    device, memory_format = torch.device("cpu"), torch.channels_last

    def __init__(self, sigma: float = SIGMA) -> None:
        super().__init__()
        self.net, self.loss = torch.nn.Module(), torch.nn.Module()
        self.net.encoder, self.loss.sigma = torch.nn.Module(), cast(Any, sigma)
        self.net.encoder.mean, self.net.encoder.std = cast(Any, (0.5, 0.4, 0.3)), cast(Any, (0.2, 0.3, 0.4))


@pytest.fixture
def model(drawn_checkpoint: Path) -> EndToEnd:
    checkpoint = checkpoints.read(drawn_checkpoint)
    model = end_to_end(checkpoint[checkpoints.KEY]["config"])
    checkpoints.load_weights(model.net, checkpoint, drawn_checkpoint)
    return model.eval()


def batch_of(pictures: torch.Tensor) -> Batch:
    """Labelled pictures (B, 3, H, W), 0 to 1, as the student's data module gives them; the last count is unknown."""
    encoder = Student().net.encoder
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (encoder.mean, encoder.std))
    generator = torch.Generator().manual_seed(1)
    maps = torch.rand(BATCH, 8, SIZE[0] // 2, SIZE[1] // 2, generator=generator)
    maps[0] = 0.0  # no packet
    cards = torch.tensor([5.0, 30.0, float("nan")])
    return cast(Batch, {"image": (pictures - mean) / std, "heatmaps": maps, "cards": cards})


def mixed(teacher: Path, weight: float, pictures: torch.Tensor) -> Batch:
    batch, callback = batch_of(pictures), Distillation(str(teacher), weight)
    student = cast(Any, Student())
    callback.on_fit_start(trainer(), student)
    callback.on_train_batch_start(trainer(), student, batch, 0)
    return batch


def trainer() -> Trainer:
    return Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu")


@pytest.mark.parametrize("weight", [0.25, 1.0])
def test_labels_are_mixed_with_the_teachers_prediction_for_the_same_picture(
    drawn_checkpoint: Path, model: EndToEnd, weight: float
) -> None:
    pictures = torch.rand(BATCH, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    labels, batch = batch_of(pictures), mixed(drawn_checkpoint, weight, pictures)
    with torch.no_grad():
        output = model.net((pictures - model.mean) / model.std)
    wanted = (1 - weight) * labels["heatmaps"] + weight * output.heatmaps
    torch.testing.assert_close(batch["heatmaps"][1:], wanted[1:], rtol=0, atol=1e-4)
    assert not batch["heatmaps"][0].any(), "corners without a label stay without one"
    cards = (CARDS_PER_DECK * output.cards).clamp(1, MAX_CARDS)
    wanted = (1 - weight) * labels["cards"] + weight * cards
    torch.testing.assert_close(batch["cards"], wanted, rtol=0, atol=1e-2, equal_nan=True)
    assert batch["cards"].isnan().tolist() == [False, False, True]
    assert torch.equal(batch["image"], labels["image"])


def test_a_count_that_no_packet_has_is_not_mixed_in(drawn_checkpoint: Path) -> None:
    callback, batch = Distillation(str(drawn_checkpoint), 1.0), batch_of(torch.rand(BATCH, 3, *SIZE))
    callback.on_fit_start(trainer(), cast(Any, Student()))
    for start, count in ((-9.0, 1), (9.0, MAX_CARDS)):
        callback.teachers[0].model.net.head.calibration.copy_(torch.tensor([1.0, start]))
        callback.on_train_batch_start(trainer(), cast(Any, Student()), batch, 0)
        assert batch["cards"][:2].tolist() == [count, count]


def test_the_teacher_is_not_trained(drawn_checkpoint: Path) -> None:
    teacher = Distillation(str(drawn_checkpoint)).teachers[0].model
    assert not teacher.training
    assert not [name for name, weight in teacher.named_parameters() if weight.requires_grad]


def test_of_several_teachers_the_mean_is_mixed_in(drawn_checkpoint: Path) -> None:
    pictures, student = torch.rand(BATCH, 3, *SIZE), cast(Any, Student())
    callback, batch = Distillation([str(drawn_checkpoint)] * 2, 1.0), batch_of(pictures)
    callback.on_fit_start(trainer(), student)
    callback.teachers[0].model.net.head.calibration.copy_(torch.tensor([0.0, 10 / CARDS_PER_DECK]))
    callback.teachers[1].model.net.head.calibration.copy_(torch.tensor([0.0, 40 / CARDS_PER_DECK]))
    callback.on_train_batch_start(trainer(), student, batch, 0)
    torch.testing.assert_close(batch["cards"][:2], torch.full((2,), 25.0))
    alone = mixed(drawn_checkpoint, 1.0, pictures)
    torch.testing.assert_close(batch["heatmaps"], alone["heatmaps"])  # both are of the same network


def test_no_teacher_is_named() -> None:
    with pytest.raises(InputError, match=r"callbacks\.distillation\.teacher is empty"):
        Distillation([])


@pytest.mark.parametrize("weight", [-0.1, 1.5, "half"])
def test_a_weight_outside_of_0_to_1_is_named(drawn_checkpoint: Path, weight: Any) -> None:
    with pytest.raises(InputError, match=r"callbacks\.distillation\.weight=.*: choose a number from 0 to 1"):
        Distillation(str(drawn_checkpoint), weight)


def test_a_teacher_for_other_images_or_heatmaps_is_named(drawn_checkpoint: Path) -> None:
    callback, student = Distillation(str(drawn_checkpoint)), cast(Any, Student())
    with pytest.raises(InputError, match=r"heatmap\.sigma is 1\.0 there and 3\.0 here"):
        callback.on_fit_start(trainer(), cast(Any, Student(3.0)))
    callback.on_fit_start(trainer(), student)
    batch = batch_of(torch.rand(BATCH, 3, *SIZE))
    batch["heatmaps"] = batch["heatmaps"][..., ::2, ::2]
    with pytest.raises(InputError, match=r"size of heatmaps is \(24, 32\) there and \(12, 16\) here"):
        callback.on_train_batch_start(trainer(), student, batch, 0)
    batch["image"] = batch["image"][..., ::2, ::2]
    with pytest.raises(InputError, match=r"data\.size is \(48, 64\) there and \(24, 32\) here"):
        callback.on_train_batch_start(trainer(), student, batch, 0)
