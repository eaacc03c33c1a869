"""Every choice composes and builds."""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import get_class
from in_process import Command
from omegaconf import DictConfig, OmegaConf

from cardpose import train
from cardpose.common.errors import InputError, MissingExtra
from cardpose.common.hydra_entry import CONF, plain
from cardpose.models import builder
from cardpose.models.from_config import build_decoder, build_net
from cardpose.training import build
from cardpose.training.trainer import build_trainer

Compose = Callable[..., DictConfig]
Printed = Callable[..., str]

ENTRIES = (
    "train",
    "crossval",
    "bench",
    "synthesize",
)
NEEDED = {
    ("data", "cardcut"): ["data.root=x"],
    ("data", "folder"): ["data.root=x"],
    ("data", "mixed"): ["data.root=x"],
    ("split", "file"): ["split.path=x"],
    ("experiment", "cardcut"): ["data.root=x"],
    ("experiment", "cardcut_fast"): ["data.root=x"],
    ("experiment", "cardcut_finetune"): ["data.root=x", "init_from=x"],
    ("experiment", "cardcut_best"): ["data.root=x"],
    ("experiment", "finetune"): ["data.root=x", "init_from=x"],
    ("experiment", "zero_shot"): ["data.test.root=x"],
}


@pytest.fixture
def printed(
    global_state: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Printed:
    """printed(entry, *arguments) runs a command that ends well, in an empty folder, and is what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(entry: str, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [f"cardpose.{entry}", *arguments])
        code: Any = 0
        try:
            import_module(f"cardpose.{entry}").main()
        except SystemExit as stop:
            code = stop.code
        out, err = capsys.readouterr()
        assert not code, err
        return out

    return run


def choices(*groups: str) -> list[tuple[str, str]]:
    return [
        (group, file.stem)
        for group in groups
        for file in sorted((CONF / group).glob("*.yaml"))
        if not file.stem.startswith("_")
    ]


GROUPS = sorted(folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name != "hydra")
TRAINING = choices(*GROUPS)


def test_every_group_is_looked_at() -> None:
    assert {file.stem for file in CONF.glob("*.yaml")} == set(ENTRIES)
    assert {
        "data",
        "split",
        "augment",
        "model",
        "count_head",
        "spatial",
        "loss",
        "optim",
        "scheduler",
        "experiment",
        "debug",
        "sweep",
        "launcher",
    } <= set(GROUPS)


@pytest.mark.parametrize(("group", "choice"), TRAINING)
def test_every_choice_composes_and_resolves(
    compose_entry: Compose, tmp_path: Path, group: str, choice: str
) -> None:
    needed = NEEDED.get((group, choice), [])
    cfg = compose_entry("train", tmp_path / "run", f"{group}={choice}", *needed)
    assert plain(cfg)["name"]


@pytest.mark.parametrize(
    ("group", "choice"), choices("augment", "optim", "scheduler", "split", "trainer", "callbacks")
)
def test_every_choice_instantiates(compose_entry: Compose, tmp_path: Path, group: str, choice: str) -> None:
    if choice in ("gpu", "ddp") and not torch.cuda.is_available():
        pytest.skip("no GPU here")
    needed = NEEDED.get((group, choice), [])
    cfg = compose_entry("train", tmp_path / "run", f"{group}={choice}", *needed)
    if group == "trainer":
        build_trainer(plain(cfg), [], logger=False)
    elif group == "callbacks":
        assert all(builder.build(plain(cfg)["callbacks"]).values())
    else:
        assert callable(builder.build(plain(cfg)[group]))


@pytest.mark.parametrize(("group", "choice"), choices("heatmap", "loss"))
def test_every_heatmap_and_loss_builds(
    compose_entry: Compose, tmp_path: Path, group: str, choice: str
) -> None:
    cfg = compose_entry("train", tmp_path / "run", f"{group}={choice}")
    build.check(plain(cfg))
    corners = torch.full((1, 8, 2), 90.0)
    maps = builder.build(plain(cfg)["data"]["encode_heatmaps"])(corners, torch.full((1, 8), 2))
    assert maps.shape[-1] == cfg.data.size[1] // cfg.heatmap.stride
    assert (build_decoder(plain(cfg))(maps)[0] - corners).abs().max() < 1e-2


@pytest.mark.parametrize("head", [choice for _, choice in choices("count_features")])
@pytest.mark.parametrize("count", [choice for _, choice in choices("count_head")])
def test_every_count_learns_with_every_head(
    compose_entry: Compose, tmp_path: Path, count: str, head: str
) -> None:
    overrides = (f"count_head={count}", f"count_features={head}", "data.size=[64,96]")
    cfg = compose_entry("train", tmp_path / "run", "model=unet_small", *overrides)
    build.check(plain(cfg))
    net, cards = build_net(plain(cfg)), torch.tensor([3.0, 104.0])
    output = net(torch.zeros(2, 3, 64, 96))
    losses = build.build_loss(plain(cfg))(
        output,
        {  # type: ignore[typeddict-item]
            "heatmaps": torch.zeros_like(output.heatmaps),
            "cards": cards,
            "visibility": torch.full((2, 8), 2),
        },
    )
    losses["loss"].backward()
    parameters = dict(net.head.named_parameters())
    assert all(value.grad is not None and value.grad.isfinite().all() for value in parameters.values())
    assert bool(output.cards_std.isnan().all()) == (count == "regression")


PLUGINS = {
    "joblib": "hydra_plugins.hydra_joblib_launcher.config.JobLibLauncherConf",
    "slurm": "hydra_plugins.hydra_submitit_launcher.config.SlurmQueueConf",
    "slurm_local": "hydra_plugins.hydra_submitit_launcher.config.LocalQueueConf",
}
"""What the launchers of the extra `sweep` know."""


@pytest.mark.parametrize("choice", [choice for _, choice in choices("launcher") if choice != "basic"])
def test_every_key_of_a_launcher_is_one_that_it_knows(choice: str) -> None:
    pytest.importorskip(PLUGINS[choice].rpartition(".")[0], reason="the extra sweep is not installed")
    file = OmegaConf.load(CONF / "launcher" / f"{choice}.yaml")
    known = OmegaConf.structured(get_class(PLUGINS[choice]))
    assert file._target_ == known._target_
    assert set(file.keys()) <= set(known.keys())


@pytest.mark.parametrize("stride", [2, 4])
@pytest.mark.parametrize(("group", "choice"), choices("model"))
def test_every_model_sees_an_image_or_names_the_extra_that_it_lacks(
    compose_entry: Compose,
    tmp_path: Path,
    missing_extra: Callable[[Exception], str],
    group: str,
    choice: str,
    stride: int,
) -> None:
    overrides = (f"{group}={choice}", f"heatmap.stride={stride}", "data.size=[64,96]")
    cfg = compose_entry("train", tmp_path / "run", *overrides)
    try:
        net = build_net(plain(cfg)).eval()
    except MissingExtra as error:
        missing_extra(error)
        return
    with torch.inference_mode():
        assert net(torch.zeros(1, 3, 64, 96)).heatmaps.shape == (1, 8, 64 // stride, 96 // stride)
    data = build.build_data(plain(cfg), net)
    assert (data.mean.flatten().tolist(), data.std.flatten().tolist()) == (
        pytest.approx(net.encoder.mean),
        pytest.approx(net.encoder.std),
    )


@pytest.mark.parametrize("model", ["unet", "unet_mobilenetv3_small"])
@pytest.mark.parametrize("size", ["[100,128]", "[64,16]"])
def test_a_size_that_the_encoder_cannot_halve_names_the_multiple(
    compose_entry: Compose, tmp_path: Path, model: str, size: str
) -> None:
    cfg = compose_entry("train", tmp_path / "run", f"model={model}", f"data.size={size}")
    with pytest.raises(InputError, match=r"data\.size=\[.*\]: choose multiples of 32"):
        build_net(plain(cfg))


def test_an_unknown_model_lists_the_choices(in_process: Command) -> None:
    done = in_process(train.main, "model=resnet")
    assert done.code == 2
    assert "Traceback" not in done.err
    assert {choice for _, choice in choices("model")} <= set(done.err.replace(",", "").split())


@pytest.mark.parametrize("experiment", [choice for _, choice in choices("experiment")])
@pytest.mark.parametrize("debug", [choice for _, choice in choices("debug")])
def test_every_experiment_can_be_debugged(
    compose_entry: Compose, tmp_path: Path, experiment: str, debug: str
) -> None:
    needed = NEEDED.get(("experiment", experiment), [])
    cfg = compose_entry("train", tmp_path / "run", f"experiment={experiment}", f"debug={debug}", *needed)
    assert plain(cfg)["name"] == debug


@pytest.mark.parametrize("experiment", [choice for _, choice in choices("experiment")])
def test_every_experiment_goes_with_every_kind_of_model(
    compose_entry: Compose, tmp_path: Path, missing_extra: Callable[[Exception], str], experiment: str
) -> None:
    """An experiment must set no key that only some models have: that belongs into a file of conf/model."""
    needed = NEEDED.get(("experiment", experiment), [])
    for model in ("unet_small", "unet_mobilenetv3_small", "hourglass"):  # of each kind one
        cfg = compose_entry("train", tmp_path / model, f"experiment={experiment}", f"model={model}", *needed)
        try:
            with torch.device("meta"):
                net = build_net(plain(cfg), trained=True)
        except MissingExtra as error:
            missing_extra(error)
            continue
        assert net.encoder.channels, model


@pytest.mark.parametrize("file", sorted((CONF / "experiment").glob("*.yaml")), ids=lambda file: file.stem)
def test_an_experiment_begins_with_its_command(file: Path) -> None:
    assert f"# python -m cardpose.train experiment={file.stem}" in file.read_text().splitlines()[1]


@pytest.mark.parametrize(
    ("entry", "overrides"),
    [
        ("crossval", ["experiment=cardcut", "data.root=x", "dir=y"]),
        ("bench", []),
        ("synthesize", ["clips=2"]),
    ],
)
def test_every_entry_composes(printed: Printed, entry: str, overrides: list[str]) -> None:
    assert ":" in printed(entry, "--cfg", "job", *overrides)


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("optim.learning_rate=1", "optim.learning_rate: no such key: optim has lr, weight_decay"),
        ("lr=1", "lr: no such key: did you mean optim.lr?"),
        ("modle=unet", "modle: no such key: did you mean model?"),
        ("augment=lihgt", "augment=lihgt: no such choice: did you mean light? choose light, none, strong"),
        ("weights=a.ckpt", "weights is now called init_from"),
        ("synth.tilt=1", "synth.tilt is now called scene.tilt"),
        ("name=a (1)", "name=a (1): Hydra cannot read this value: if it is text, quote it: 'name=\"a (1)\"'"),
        (
            "seed=0,1",
            "seed=0,1: several values: add -m for a sweep, write seed=[0,1] for a list, or quote it",
        ),
        ("seed", "seed: not an override: write KEY=VALUE"),
        ("--mutlirun", "--mutlirun: no such option: did you mean --multirun?"),
        ("--seed=1", "--seed: no such option: write seed=1"),
        ("+seed=1", "+seed: this key exists: leave out the +"),
    ],
)
def test_a_word_that_cannot_be_composed_is_one_line(
    in_process: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = in_process(train.main, "experiment=baseline", word)
    assert done.code == 2
    assert done.err.startswith(f"cardpose.train: {line}")
    assert len(done.err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


TAUGHT = {
    "train": (
        "  model ",
        "unet*",
        "  launcher ",
        "grid*, optuna, random",
        "resume_sweep=",
        "resume=",
        "data.root",
    ),
    "crossval": ("dir=", "split.folds", "by the validation scores", "cardpose train --help"),
    "synthesize": ("render@_global_ ", "preview="),
    "bench": ("cardpose train --help", "benchmarks=[ddp]"),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_help_teaches_on_one_screen(printed: Printed, tmp_path: Path, entry: str) -> None:
    lines = printed(entry, "--help").splitlines()
    assert lines[0] == f"Usage: cardpose {entry} [OPTION | GROUP=CHOICE | KEY=VALUE]..."
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    for word in (*TAUGHT[entry], "--cfg job", "--hydra-help"):
        assert any(word in line for line in lines), word
    assert not any("_base" in line for line in lines)
    assert not list(tmp_path.iterdir())


def test_help_marks_what_is_chosen(printed: Printed) -> None:
    assert "  heatmap        default, fine*\n" in printed("train", "--help", "heatmap=fine")
