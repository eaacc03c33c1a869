"""What each logger is given: curves, pictures, test scores; a library that is missing is one line."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from lightning.pytorch.loggers import CSVLogger, MLFlowLogger, WandbLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cardpose.common.errors import InputError
from cardpose.common.images import read_image
from cardpose.training import loggers
from cardpose.training.loggers import TensorBoard, log_images, log_test_scores, tag_of

IMAGE = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)


def events(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0})
    accumulator.Reload()
    return accumulator


def test_the_losses_are_the_first_group_of_tensorboard() -> None:
    keys = [
        "train/images_per_second",
        "val/card_mae",
        "lr-AdamW",
        "val_best/card_mae",
        "train/loss_cards",
        "val/loss",
    ]
    tags = sorted(map(tag_of, keys))
    assert tags[:2] == ["loss/train_cards", "loss/val"]
    assert not any(tag.startswith("loss") for tag in tags[2:])


def test_tensorboard_has_curves_alone_and_the_test_scores_as_text(tmp_path: Path) -> None:
    logger = TensorBoard(tmp_path, name="tensorboard", version="")
    logger.log_metrics(
        {"epoch": 1, "train/loss": 1.0, "val/card_mae": 2.0, "val/card_mae_constant": 12.0}, step=1
    )
    logger.log_metrics({"test/card_mae": 2.5, "test/loss": 0.1}, step=2)
    log_test_scores(logger, {"test/card_mae": 2.5, "test/card_mae_constant": 12.5}, step=2)
    logger.finalize("success")
    found = events(tmp_path)
    assert found.Tags()["scalars"] == ["loss/train", "val/card_mae"]
    (table,) = found.Tensors("test/scores/text_summary")
    text = table.tensor_proto.string_val[0].decode()
    assert "| card error (MAE), cards | 2.50 |  | 12.50 |" in text


def test_tensorboard_gives_a_picture_back_as_it_was(tmp_path: Path) -> None:
    """Also from a writer that was closed meanwhile, as Lightning closes its own after the training."""
    logger = TensorBoard(tmp_path, name="tensorboard", version="")
    for step in (3, 4):
        log_images(logger, {"test/picture": IMAGE}, step)
        logger.finalize("success")
    first, second = events(tmp_path).Images("test/picture")
    assert (first.step, second.step, first.width, first.height) == (3, 4, 7, 5)
    for event in (first, second):
        path = tmp_path / f"{event.step}.png"
        path.write_bytes(event.encoded_image_string)
        np.testing.assert_array_equal(read_image(path), IMAGE)


def test_wandb_and_mlflow_get_pictures_and_csv_none(tmp_path: Path) -> None:
    logged: list[tuple[Any, ...]] = []

    class Wandb(WandbLogger):
        def __init__(self) -> None: ...

        def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: Any) -> None:
            logged.append((key, *images, step))

    class MLflow(MLFlowLogger):
        run_id = "run"

        def __init__(self) -> None: ...

        @property
        def experiment(self) -> Any:
            return SimpleNamespace(
                log_image=lambda run_id, image, key, step: logged.append((run_id, key, image, step))
            )

    for logger in (Wandb(), MLflow(), CSVLogger(tmp_path)):
        log_images(logger, {"val/frames": IMAGE}, 3)
    assert logged == [("val/frames", IMAGE, 3), ("run", "val/frames", IMAGE, 3)]


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_library_that_is_missing_is_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(**settings: Any) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(loggers, {"wandb": "WandbLogger", "mlflow": "MLFlowLogger"}[name], missing)
    with pytest.raises(InputError, match=rf'^logger={name} needs the extra "{name}": pip install'):
        getattr(loggers, name)(name="run")
