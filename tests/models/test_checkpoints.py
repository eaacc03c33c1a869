"""Checkpoints: what they say of themselves, and what is refused."""

import os
import pickle
import subprocess
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cardpose.common.errors import InputError
from cardpose.common.packet import CORNERS
from cardpose.models import checkpoints


def write(path: Path, described: Any = None, net: nn.Module | None = None) -> Path:
    state = {f"net.{key}": value for key, value in (net or nn.Linear(2, 3)).state_dict().items()}
    entry = checkpoints.describe({"seed": 1}, {"train": {"a.mp4": [0]}}) if described is None else described
    torch.save({"state_dict": state, checkpoints.KEY: entry}, path)
    return path


def test_a_checkpoint_states_configuration_split_and_keypoints(tmp_path: Path) -> None:
    entry = checkpoints.read(write(tmp_path / "a.ckpt"))[checkpoints.KEY]
    assert entry["config"]["seed"] == 1
    assert entry["split"] == {"train": {"a.mp4": [0]}}
    assert entry["keypoints"] == list(CORNERS)
    assert set(entry) == {"config", "split", "keypoints", "max_cards", "versions", "git_commit"}


class Attack:
    """Unpickling it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_code_in_a_checkpoint_is_refused_and_does_not_run(tmp_path: Path) -> None:
    made = tmp_path / "made"
    for path, save in ((tmp_path / "a.ckpt", torch.save), (tmp_path / "b.ckpt", _pickle)):
        save({"state_dict": {}, "x": Attack(made)}, path)
        with pytest.raises(InputError, match=f"{path.name}.*(could run code|not a checkpoint)"):
            checkpoints.read(path)
        assert not made.exists()


def _pickle(value: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(value))


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_truncated_checkpoint_is_named(tmp_path: Path, keep: float) -> None:
    path = write(tmp_path / "a.ckpt")
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep >= 1 else keep * len(content))])
    with pytest.raises(InputError, match=r"a\.ckpt: .*copy it again"):
        checkpoints.read(path)


def test_a_text_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "a.ckpt").write_text("not a checkpoint at all\n" * 100)
    with pytest.raises(InputError, match=r"a\.ckpt"):
        checkpoints.read(tmp_path / "a.ckpt")


@pytest.mark.parametrize("name", ["missing.ckpt", "."])
def test_a_missing_checkpoint_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="no such checkpoint"):
        checkpoints.read(tmp_path / name)


@pytest.mark.parametrize(
    "content", [{"state_dict": {}}, [1, 2], {checkpoints.KEY: 3}, {checkpoints.KEY: {"config": {}}}]
)
def test_another_programs_checkpoint_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match="not of cardpose"):
        checkpoints.read(tmp_path / "a.ckpt")


def test_another_order_of_the_corners_is_refused(tmp_path: Path) -> None:
    entry = checkpoints.describe({}, {}) | {"keypoints": list(reversed(CORNERS))}
    with pytest.raises(InputError, match=r"a\.ckpt: keypoints are .*upper_left_face"):
        checkpoints.read(write(tmp_path / "a.ckpt", entry))


def test_weights_come_back(tmp_path: Path) -> None:
    saved, net = nn.Linear(2, 3), nn.Linear(2, 3)
    checkpoints.load_weights(net, checkpoints.read(write(tmp_path / "a.ckpt", net=saved)), "a.ckpt")
    assert torch.equal(net.weight, saved.weight)


def test_weights_of_one_part_come_back_and_the_other_stays(tmp_path: Path) -> None:
    saved = nn.Sequential(OrderedDict(encoder=nn.Linear(2, 3), head=nn.Linear(3, 1)))
    net = nn.Sequential(OrderedDict(encoder=nn.Linear(2, 3), head=nn.Linear(3, 5)))
    before = net.head.weight.clone()
    checkpoint = checkpoints.read(write(tmp_path / "a.ckpt", net=saved))
    checkpoints.load_weights(net, checkpoint, "a.ckpt", ["encoder"])
    assert torch.equal(net.encoder.weight, saved.encoder.weight)
    assert torch.equal(net.head.weight, before)
    with pytest.raises(InputError, match=r"head.weight \(1, 3\) for \(5, 3\).*init_modules"):
        checkpoints.load_weights(net, checkpoint, "a.ckpt", ["encoder", "head"])
    with pytest.raises(InputError, match="no part 'decoder': choose among encoder, head"):
        checkpoints.load_weights(net, checkpoint, "a.ckpt", ["decoder"])


@pytest.mark.parametrize(
    ("other", "entry"),
    [
        (nn.Linear(2, 4), r"2 keys differ \(weight \(3, 2\) for \(4, 2\), bias \(3,\) for \(4,\)\)"),
        (nn.Linear(2, 3, bias=False), r"1 keys differ \(bias not in the model\)"),
        (
            nn.Sequential(nn.Linear(2, 3)),
            r"4 keys differ \(0.weight missing, 0.bias missing, weight not in the model, \.\.\.\)",
        ),
    ],
    ids=["width", "no bias", "names"],
)
def test_weights_of_another_architecture_name_the_keys_and_change_nothing(
    tmp_path: Path, other: nn.Module, entry: str
) -> None:
    path = write(tmp_path / "a.ckpt", net=nn.Linear(2, 3))
    before = {key: value.clone() for key, value in other.state_dict().items()}
    with pytest.raises(InputError, match=rf"a\.ckpt: .*{entry}"):
        checkpoints.load_weights(other, checkpoints.read(path), path)
    assert all(torch.equal(value, before[key]) for key, value in other.state_dict().items())


def test_without_git_the_commit_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*args: Any, **kwargs: Any) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", missing)
    assert checkpoints.git_commit() == "unknown"
