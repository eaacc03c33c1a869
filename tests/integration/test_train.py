"""From footage to an evaluated checkpoint."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams.backend_context import Context

from cardpose.common.errors import InputError
from cardpose.common.hydra_entry import plain
from cardpose.data.splits import SUBSETS
from cardpose.evaluate import evaluate
from cardpose.models import checkpoints
from cardpose.models.from_config import build_net
from cardpose.train import train
from cardpose.training import build, keep_start
from cardpose.training.callbacks.best_scores import NAMED
from cardpose.training.hparams import KEYS as KEYS_OF_A_RUN
from cardpose.training.lightning_module import CardposeModule
from cardpose.training.losses.packet_loss import TERMS

Compose = Callable[..., DictConfig]

KEYS = {
    "val/card_mae",
    "val/card_mae_video",
    "val/corner_px_median",
    "test/card_mae",
    "test/card_mae_video",
    "test/card_mae_constant",
    "test/card_within_1",
    "test/corner_px_median",
    "test/corner_px_mean",
    "test/pck_5",
    "test/thickness_px_bias",
    "test/thickness_px_mae",
    "test/visibility_f1",
    "test/interval_coverage",
    "test/interval_width",
}


def load_metrics(folder: Path) -> dict[str, float]:
    return json.loads((folder / "metrics.json").read_text())


def of_test_side(run: Path) -> dict[str, float]:
    """The test scores among a run's."""
    return {key: value for key, value in load_metrics(run).items() if key.startswith("test/")}


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return checkpoints.read(checkpoint)["state_dict"]


def tags(folder: Path) -> dict[str, set[str]]:
    """Names in all event files of a run, by kind."""
    found: dict[str, set[str]] = {"scalars": set(), "images": set()}
    for file in (folder / "tensorboard").glob("events*"):
        events = EventAccumulator(str(file))
        events.Reload()
        for kind, names in found.items():
            names.update(events.Tags()[kind])
    return found


def test_a_run_folder_is_complete(finished_run: Path) -> None:
    for name in ("split.json", "metrics.json", "checkpoints/best.ckpt", "checkpoints/last.ckpt"):
        assert (finished_run / name).is_file(), name
    for name in ("frames.csv", "videos.csv", "scatter.png", "error_by_count.png", "report.html"):
        assert (finished_run / "test" / name).is_file(), name
    assert set(load_metrics(finished_run)) >= KEYS


def test_the_validation_scores_are_the_best_checkpoints(finished_run: Path) -> None:
    states = checkpoints.read(finished_run / "checkpoints" / "best.ckpt")["callbacks"].values()
    (best,) = [state for state in states if state.get("monitor") == "val/loss"]
    assert load_metrics(finished_run)["val/loss"] == pytest.approx(float(best["best_model_score"]))


def test_tensorboard_shows_losses_scores_and_pictures(finished_run: Path) -> None:
    found = tags(finished_run)
    losses = {f"_{term}" for term in TERMS} | {""}
    assert found["scalars"] >= {f"loss/{stage}{loss}" for stage in ("train", "val") for loss in losses}
    others = {tag.split("/")[0] for tag in found["scalars"]} - {"loss"}
    assert others == {"lr-AdamW", "train", "val", "val_best"}, "no test score, which would be a single point"
    assert found["scalars"] >= {
        *("train/images_per_second", "val/card_mae", "val/corner_px_median", "val/visibility_f1"),
        *("val_best/card_mae", "val_best/card_mae_video"),
    }
    drawn = {f"test/{file.stem}" for file in (finished_run / "test").glob("*.png")}
    assert drawn >= {"test/scatter", "test/visibility", "test/confusion", "test/worst_cards"}
    assert found["images"] == {"val/frames", "val/heatmaps", "val/cards"} | drawn


def test_the_hparams_tab_of_a_run_has_a_handful_of_keys_and_its_best_scores(finished_run: Path) -> None:
    multiplexer = EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(finished_run))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(finished_run))
    backend = Context(TBContext(data_provider=provider))
    (own,) = (tags for tags in backend.hparams_metadata(RequestContext(), "").values() if tags)
    shown = backend.experiment_from_metadata(RequestContext(), "", True, {"run": own}, [])
    keys = {column.name for column in shown.hparam_infos}
    assert {"optim.lr", "seed", "loss.cards"} <= keys <= set(KEYS_OF_A_RUN)
    (scalars,) = provider.read_last_scalars(
        RequestContext(), experiment_id="", plugin_name="scalars"
    ).values()
    metrics = load_metrics(finished_run)
    names = {metric.name.tag: metric.name.tag.replace("val_best", "val") for metric in shown.metric_infos}
    assert set(names.values()) == set(NAMED)
    for tag, key in names.items():
        assert scalars[tag].value == pytest.approx(metrics[key], rel=1e-6)


def test_csv_in_place_of_tensorboard(compose_train: Compose, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(compose_train(folder, "logger=csv", "trainer.max_epochs=1"), folder)
    assert not (folder / "tensorboard").exists()
    header, *_ = (folder / "csv" / "metrics.csv").read_text().splitlines()
    assert {"train/loss", "val/card_mae", "test/card_mae"} <= set(header.split(","))


def test_no_video_is_on_two_sets_of_the_saved_split(finished_run: Path, tiny_folder: Path) -> None:
    split = json.loads((finished_run / "split.json").read_text())
    videos = [video for side in SUBSETS for video in split[side]]
    assert len(videos) == len(set(videos)) == 6


def test_the_checkpoint_states_how_it_came_about(finished_run: Path) -> None:
    described = checkpoints.read(finished_run / "checkpoints" / "best.ckpt")[checkpoints.KEY]
    assert described["split"] == json.loads((finished_run / "split.json").read_text())
    assert described["config"]["data"]["size"] == [32, 64]
    assert "torch" in described["versions"]


def test_evaluate_gives_the_numbers_of_the_training_to_the_last_digit(
    finished_run: Path, tmp_path: Path
) -> None:
    evaluate([str(finished_run)], out=tmp_path / "report")
    assert load_metrics(tmp_path / "report") == of_test_side(finished_run)


def test_evaluate_finds_the_peaks_another_way_on_request(finished_run: Path, tmp_path: Path) -> None:
    def corners(*settings: str) -> dict[str, float]:
        folder = tmp_path / "_".join(["report", *settings])
        return evaluate([str(finished_run)], out=folder, settings=list(settings)).metrics[0]

    own, argmax = corners(), corners("heatmap.decode=argmax")
    assert own == pytest.approx(corners("heatmap.decode=quadratic"), rel=0, abs=0, nan_ok=True)
    assert own["test/corner_px_mean"] != argmax["test/corner_px_mean"]
    assert own["test/card_mae"] == argmax["test/card_mae"]
    with pytest.raises(InputError, match=r"heatmap\.decode=drak: choose argmax"):
        corners("heatmap.decode=drak")
    with pytest.raises(
        InputError, match=r"--set heatmap\.decod: no such key, choose for example heatmap\.decode"
    ):
        corners("heatmap.decod=dark")
    for value in ("7", "[a,b]", "[0,0]"):
        with pytest.raises(InputError, match=r"data\.size=.*: (write|choose)"):
            corners(f"data.size={value}")
    assert corners("data.size=[128,192]")["test/corner_px_mean"] > 0  # the targets follow


def test_a_checkpoint_from_before_there_was_a_choice_is_evaluated(finished_run: Path, tmp_path: Path) -> None:
    checkpoint = checkpoints.read(finished_run / "checkpoints" / "best.ckpt")
    config = checkpoint[checkpoints.KEY]["config"]
    del config["heatmap"]["decode"], config["count_head"]
    del config["model"]["head"]["count_head"], config["model"]["head"]["detach"]
    del config["loss"]["coordinates"], config["loss"]["distribution"]
    config["loss"] |= {"heatmap_loss": "mse", "card_loss": "mse"}
    torch.save(checkpoint, tmp_path / "old.ckpt")
    evaluate([str(tmp_path / "old.ckpt")], out=tmp_path / "report")
    assert load_metrics(tmp_path / "report") == of_test_side(finished_run)


@pytest.mark.parametrize("decode", ["argmax", "dark", "softargmax"])
def test_a_checkpoint_knows_its_decoder(compose_train: Compose, tmp_path: Path, decode: str) -> None:
    folder = tmp_path / "run"
    overrides = (f"heatmap.decode={decode}", "heatmap.stride=4", "heatmap.sigma=1", "trainer.max_epochs=1")
    train(compose_train(folder, *overrides), folder)
    evaluate([str(folder)], out=tmp_path / "report")
    assert load_metrics(tmp_path / "report") == of_test_side(folder)


def test_the_loss_of_coordinates_trains(compose_train: Compose, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    metrics = train(compose_train(folder, "loss=coordinates", "trainer.max_epochs=1"), folder)
    assert all(math.isfinite(metrics[f"test/loss{part}"]) for part in ("", "_heatmaps", "_coordinates"))


def test_a_distribution_trains_and_its_checkpoint_estimates_the_standard_deviation(
    compose_train: Compose, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    metrics = train(compose_train(folder, "count_head=distribution", "model.head.detach=false"), folder)
    assert math.isfinite(metrics["test/loss_distribution"])
    evaluate([str(folder)], out=tmp_path / "report")
    assert load_metrics(tmp_path / "report") == of_test_side(folder)
    header, first, *_ = (tmp_path / "report" / "frames.csv").read_text().splitlines()
    frame = dict(zip(header.split(","), first.split(","), strict=True))
    assert float(frame["cards_std"]) > 0


def test_evaluate_takes_another_folder_whole(finished_run: Path, tiny_folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(tiny_folder, tmp_path / "other")
    evaluate([str(finished_run)], other, split="all", out=tmp_path / "report")
    frames = (tmp_path / "report" / "frames.csv").read_text().splitlines()
    assert len(frames) == 1 + sum(6 + number % 3 for number in range(6))


def test_evaluate_on_videos_that_the_split_does_not_name_asks_for_all(
    finished_run: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(tiny_folder, tmp_path / "other")
    for path in (*other.glob("*.csv"), *other.glob("*.json")):
        path.write_text(path.read_text().replace("videos/", "videos/new_"))
    for video in (other / "videos").iterdir():
        video.rename(video.with_name(f"new_{video.name}"))
    with pytest.raises(InputError, match="--split all"):
        evaluate([str(finished_run)], other, out=tmp_path / "report")


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    finished_run: Path, compose_train: Compose, tmp_path: Path
) -> None:
    def again(name: str, *overrides: str) -> dict[str, Any]:
        folder = tmp_path / name
        train(compose_train(folder, *overrides), folder)
        return weights(folder / "checkpoints" / "last.ckpt")

    first = weights(finished_run / "checkpoints" / "last.ckpt")
    assert all(torch.equal(value, first[key]) for key, value in again("same").items())
    other = again("other", "seed=1", "trainer.max_epochs=1")
    assert not torch.equal(other["net.decoder.to_heatmaps.weight"], first["net.decoder.to_heatmaps.weight"])


def test_weights_start_a_new_run_from_another_ones(
    finished_run: Path, compose_train: Compose, tmp_path: Path
) -> None:
    best = finished_run / "checkpoints" / "best.ckpt"
    cfg = compose_train(tmp_path / "run", f"init_from={best}", "optim.lr=0", "optim.weight_decay=0")
    train(cfg, tmp_path / "run")
    own, other = weights(tmp_path / "run" / "checkpoints" / "last.ckpt"), weights(best)
    name = "net.decoder.to_heatmaps.weight"
    assert torch.allclose(own[name], other[name], atol=1e-7)  # the average of equal weights rounds


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("model.head.hidden=16", r"head\.layers.*equal parts: init_modules=\[encoder,decoder\]$"),
        (
            "model.encoder.widths=[4,4,8]",
            r"encoder\.levels.*was trained with.*equal parts: init_modules=\[head\]$",
        ),
    ],
)
def test_weights_of_another_architecture_name_a_key_and_the_parts_that_are_alike(
    finished_run: Path, compose_train: Compose, tmp_path: Path, change: str, message: str
) -> None:
    best = finished_run / "checkpoints" / "best.ckpt"
    cfg = compose_train(tmp_path / "run", f"init_from={best}", change)
    with pytest.raises(InputError, match=message):
        train(cfg, tmp_path / "run")


def test_a_start_brings_its_architecture_unless_another_is_named(
    finished_run: Path, compose_train: Compose, tmp_path: Path
) -> None:
    best = finished_run / "checkpoints" / "best.ckpt"
    trained = checkpoints.read(best)[checkpoints.KEY]["config"]
    words = [f"init_from={best}", "model.encoder.widths=[4,4,8]", "data.size=[96,128]"]
    config = plain(compose_train(tmp_path / "run", *words))
    adopted = build.adopt_architecture(config, [words[0], "optim.lr=0.1"])
    assert adopted["model"] == trained["model"] != config["model"]
    assert adopted["data"]["size"] == trained["data"]["size"] != config["data"]["size"]
    assert adopted["data"]["encode_heatmaps"] == trained["data"]["encode_heatmaps"]
    assert adopted["optim"] == config["optim"]
    build.load_start(adopted, build_net(adopted))
    for named in ("model=unet", "model.head.hidden=8", "init_modules=[encoder]", "data.size=[96,128]"):
        assert build.adopt_architecture(config, [words[0], named]) == config


def test_a_start_that_is_better_than_the_training_is_kept(
    finished_run: Path, compose_train: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    best = finished_run / "checkpoints" / "best.ckpt"
    words = f"init_from={best}", "keep_start=true", "optim.lr=20", "trainer.max_epochs=1"
    metrics = train(compose_train(tmp_path / "run", *words), tmp_path / "run")
    own, name = tmp_path / "run" / "checkpoints" / "best.ckpt", "net.decoder.to_heatmaps.weight"
    assert torch.equal(weights(own)[name], weights(best)[name])
    assert "The start is kept" in caplog.text
    started = json.loads((finished_run / "metrics.json").read_text())
    assert metrics["val/loss"] <= started["val/loss"] + 1e-6
    again = evaluate([str(own)], out=tmp_path / "test").metrics[0]
    assert again["test/card_mae"] == pytest.approx(metrics["test/card_mae"])


@pytest.mark.parametrize(
    ("cards", "losses", "share", "said"),
    [
        (
            (2.5, 2.4, 2.3, 2.2),
            (0.5,) * 4,
            0,
            "kept: its val/card_mae is 2.000, after the training it is 2.500",
        ),
        ((1.5, 1.6, 1.7, 1.8), (1.5,) * 4, 0, "kept: its val/loss is 1.000, after the training it is 1.500"),
        ((1.5, 1.6, 1.7, 1.8), (0.5,) * 4, 1, ""),
        ((2.5, 2.1, 1.8, 1.9), (0.5,) * 4, 0.5, "mean of 50 % trained weights"),
        ((1.0, 1.1, 1.8, 1.9), (1.5, 1.2, 1.1, 0.9), 0.25, "mean of 25 % trained weights"),
        ((math.nan,) * 4, (0.7, 0.6, 0.8, 0.9), 0.75, "its val/loss is 0.600"),
        ((1.5, 1.6, 1.7, 1.8), (math.nan,) * 4, 0, "kept: its val/loss is 1.000"),
    ],
)
def test_the_mean_of_start_and_training_is_kept_that_has_the_best_count_and_no_worse_score_than_the_start(
    finished_run: Path,
    compose_train: Compose,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    cards: tuple[float, ...],
    losses: tuple[float, ...],
    share: float,
    said: str,
) -> None:
    caplog.set_level("INFO")
    start = {"val/loss": 1.0, "val/card_mae": math.nan if math.isnan(cards[0]) else 2.0}
    tried = [{"val/loss": loss, "val/card_mae": card} for loss, card in zip(losses, cards, strict=True)]
    scores, seen = iter([start, *tried]), []

    def validate(config: object, module: CardposeModule, data: object) -> dict[str, float]:
        seen.append(module.state_dict()["net.decoder.to_heatmaps.weight"].clone())
        return next(scores)

    monkeypatch.setattr(keep_start, "validate", validate)
    best = finished_run / "checkpoints" / "best.ckpt"
    words = f"init_from={best}", "keep_start=true", "trainer.max_epochs=1"
    metrics = train(compose_train(tmp_path / "run", *words), tmp_path / "run")
    started, trained, *means = seen
    for other, mean in zip((0.75, 0.5, 0.25), means, strict=True):
        torch.testing.assert_close(mean, started + other * (trained - started))
    own = weights(tmp_path / "run" / "checkpoints" / "best.ckpt")["net.decoder.to_heatmaps.weight"]
    torch.testing.assert_close(own, started + share * (trained - started))
    chosen = {0: start, **dict(zip((1, 0.75, 0.5, 0.25), tried, strict=True))}[share]
    assert metrics["val/loss"] == pytest.approx(chosen["val/loss"])
    assert said in caplog.text


def test_a_training_with_a_teacher_and_its_checkpoint(
    finished_run: Path, compose_train: Compose, tmp_path: Path
) -> None:
    words = (
        "callbacks=distillation",
        f"callbacks.distillation.teacher='{finished_run}'",
        "trainer.precision=bf16-mixed",
    )
    metrics = train(compose_train(tmp_path / "run", *words, "trainer.max_epochs=1"), tmp_path / "run")
    own, plain_run = (run / "checkpoints" / "best.ckpt" for run in (tmp_path / "run", finished_run))
    assert set(weights(own)) == set(weights(plain_run)), "the teacher is not saved"
    again = evaluate([str(tmp_path / "run")], out=tmp_path / "test").metrics[0]
    assert again["test/card_mae"] == pytest.approx(metrics["test/card_mae"], abs=0.1)


def test_a_new_training_starts_from_weights_without_their_calibration(
    finished_run: Path, compose_train: Compose, tmp_path: Path
) -> None:
    best = torch.load(finished_run / "checkpoints" / "best.ckpt", weights_only=True)
    best["state_dict"]["net.head.calibration"] = torch.tensor([1.2, 0.1])
    torch.save(best, tmp_path / "calibrated.ckpt")
    cfg = compose_train(tmp_path / "run", f"init_from={tmp_path / 'calibrated.ckpt'}")
    net = build_net(plain(cfg))
    build.load_start(plain(cfg), net)
    assert net.head.calibration.tolist() == [1.0, 0.0]


def test_a_checkpoint_that_lacks_a_weight_is_named(finished_run: Path, tmp_path: Path) -> None:
    best = torch.load(finished_run / "checkpoints" / "best.ckpt", weights_only=True)
    del best["state_dict"]["net.decoder.to_heatmaps.weight"]
    torch.save(best, tmp_path / "old.ckpt")
    with pytest.raises(InputError, match=r"old\.ckpt: .*to_heatmaps\.weight missing.*use the version"):
        evaluate([str(tmp_path / "old.ckpt")], out=tmp_path / "test")


def test_parts_of_the_weights_start_a_network_with_another_head(
    finished_run: Path, compose_train: Compose, tmp_path: Path
) -> None:
    best = finished_run / "checkpoints" / "best.ckpt"
    parts = "init_modules=[encoder,decoder]"
    cfg = compose_train(
        tmp_path / "run", f"init_from={best}", parts, "count_features=pooled", "count_head=distribution"
    )
    net = build_net(plain(cfg))
    build.load_start(plain(cfg), net)
    own, other = net.state_dict(), weights(best)
    shared = [name for name in own if not name.startswith("head.")]
    assert shared
    assert all(torch.equal(own[name], other[f"net.{name}"]) for name in shared)


def test_fixed_modules_keep_their_weights(finished_run: Path, compose_train: Compose, tmp_path: Path) -> None:
    best = finished_run / "checkpoints" / "best.ckpt"
    cfg = compose_train(tmp_path / "run", f"init_from={best}", "fixed_modules=[encoder,decoder]")
    train(cfg, tmp_path / "run")
    own, other = weights(tmp_path / "run" / "checkpoints" / "last.ckpt"), weights(best)
    trained = {name.split(".")[1] for name in own if not torch.allclose(own[name], other[name], atol=1e-7)}
    assert trained == {"head"}


@pytest.mark.parametrize(
    ("fixed", "message"),
    [
        ("[encoder]", "give a list .* init_from"),
        ("[eyes]", "no module 'eyes': choose among encoder, decoder, head"),
        ("[encoder,decoder,head]", "nothing is left to train"),
        ("[decoder]", "init_modules does not load decoder"),
    ],
)
def test_fixed_modules_are_some_of_a_trained_network(
    finished_run: Path, compose_train: Compose, tmp_path: Path, fixed: str, message: str
) -> None:
    start = [] if "init_from" in message else [f"init_from={finished_run}"]
    start += ["init_modules=[encoder]"] if "init_modules" in message else []
    cfg = plain(compose_train(tmp_path / "run", f"fixed_modules={fixed}", *start))
    with pytest.raises(InputError, match=f"fixed_modules.*{message}"):
        build.load_start(cfg, build_net(cfg))


@pytest.mark.parametrize("given", [["init_modules=[encoder]"], ["init_from=x", "init_modules=encoder"]])
def test_parts_are_a_list_of_some_weights(compose_train: Compose, tmp_path: Path, given: list[str]) -> None:
    cfg = compose_train(tmp_path / "run", *given)
    with pytest.raises(InputError, match=r"init_modules=.*give a list such as \[encoder,decoder\]"):
        build.load_start(plain(cfg), build_net(plain(cfg)))


def test_a_size_that_the_encoder_cannot_halve_is_refused(compose_train: Compose, tmp_path: Path) -> None:
    cfg = compose_train(tmp_path / "run", "data.size=[30,64]")
    with pytest.raises(InputError, match=r"data\.size=.*multiples of 8"):
        build_net(plain(cfg))


def test_heatmaps_too_small_to_find_a_peak_in_are_refused(compose_train: Compose, tmp_path: Path) -> None:
    cfg = compose_train(tmp_path / "run", "data.size=[8,16]", "heatmap.stride=4")
    with pytest.raises(
        InputError, match=r"data\.size=\[8, 16\]: heatmaps of stride 4 would have fewer than 3"
    ):
        build_net(plain(cfg))
