"""A stored configuration cannot run code: a canary in each of its nodes, and every command that reads one."""

import copy
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from cardpose.calibrate import calibrate
from cardpose.common.errors import InputError
from cardpose.evaluate import evaluate
from cardpose.export import export
from cardpose.models import builder, checkpoints
from cardpose.prediction.predictor import Predictor
from cardpose.train import train
from cardpose.training.resume import resumed_config

Place = tuple[Any, ...]


def places(node: Any, here: Place = ()) -> Iterator[Place]:
    """The path to every value, nested containers included."""
    if here:
        yield here
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from places(value, (*here, key))


def with_canary(config: dict[str, Any], place: Place, canary: Any) -> dict[str, Any]:
    """The configuration with `canary` in place of a value."""
    changed = copy.deepcopy(config)
    node: Any = changed
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = canary
    return changed


def canaries(path: Path) -> list[dict[str, Any]]:
    """Nodes that would make `path` if they were called."""
    touch = ["touch", str(path)]
    return [
        {"_target_": "cardpose.common.subprocesses.call", "words": touch},
        {"_target_": "cardpose.models.checkpoints.subprocess.run", "args": touch},
        {"_target_": "cardpose.models.checkpoints.git_commit"},
        {"_target_": "cardpose.models.checkpoints.write", "checkpoint": {}, "path": str(path)},
        {"_target_": "os.system", "command": f"touch {path}"},
        {"_target_": "builtins.eval", "_args_": [f"open({str(path)!r}, 'w')"]},
        {"_target_": "pathlib.Path.touch", "self": str(path)},
        {"_target_": "cardpose.models.unet.UNet.__init__.__globals__"},
    ]


@pytest.fixture
def crafted(finished_run: Path, tmp_path: Path) -> Callable[[Place, Any], Path]:
    """crafted(place, canary): the last checkpoint of a run, its configuration changed at a place."""
    source = torch.load(finished_run / "checkpoints" / "last.ckpt", weights_only=True)
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    path.parent.mkdir(parents=True)

    def craft(place: Place, canary: Any) -> Path:
        config = with_canary(source[checkpoints.KEY]["config"], place, canary)
        torch.save({**source, checkpoints.KEY: {**source[checkpoints.KEY], "config": config}}, path)
        return path

    return craft


def test_a_canary_in_any_node_is_found_before_anything_is_built(finished_run: Path, tmp_path: Path) -> None:
    config = checkpoints.read(finished_run / "checkpoints" / "last.ckpt")[checkpoints.KEY]["config"]
    walked = list(places(config))
    assert len(walked) > 200
    builder.check(config)
    for place in walked:
        for canary in canaries(tmp_path / "CANARY"):
            with pytest.raises(InputError, match=r"is not allowed"):
                builder.check(with_canary(config, place, canary))


@pytest.mark.parametrize(
    "place",
    [
        ("optim",),
        ("scheduler",),
        ("count_head",),
        ("model", "encoder"),
        ("data", "read"),
        ("data", "augment", "warp"),
        ("callbacks", "x"),
        ("logger",),
        ("trainer", "plugins"),
        ("nowhere",),
    ],
    ids=".".join,
)
def test_every_door_is_closed(
    crafted: Callable[[Place, Any], Path], tmp_path: Path, tiny_folder: Path, place: Place
) -> None:
    """Every command reads a checkpoint by these functions, or by `checkpoints.read` itself."""
    for canary in canaries(tmp_path / "CANARY")[:2]:
        path = crafted(place, canary)
        doors = [checkpoints.read, Predictor.from_checkpoint, resumed_config]
        doors += [partial(evaluate, [str(path)]), partial(export, str(path), tmp_path / "a.onnx")]
        doors += [partial(calibrate, str(path), tiny_folder, ["videos/08.mp4"], tmp_path / "own.ckpt")]
        for door in doors:
            with pytest.raises(InputError, match=r"last\.ckpt: .*is not allowed"):
                door(*([] if isinstance(door, partial) else [path]))
        assert not (tmp_path / "CANARY").exists()


def test_weights_to_start_from_are_a_door_too(
    crafted: Callable[[Place, Any], Path], compose_train: Callable[..., Any], tmp_path: Path
) -> None:
    path = crafted(("optim",), canaries(tmp_path / "CANARY")[0])
    with pytest.raises(InputError, match=r"last\.ckpt: optim: .*is not allowed"):
        train(compose_train(tmp_path / "new", f"init_from={path}"), tmp_path / "new")
    assert not (tmp_path / "CANARY").exists()
