"""Files that are no checkpoint of cardpose: each is refused for what it is, whatever torch says of it."""

import os
import pickle
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cardpose.common.errors import InputError
from cardpose.common.packet import CORNERS
from cardpose.models import checkpoints


class MakesFolder:
    """Unpickling it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("way", ["torch", "old torch", "pickle"])
def test_code_is_refused_as_code_and_does_not_run(tmp_path: Path, way: str) -> None:
    path, made = tmp_path / "a.ckpt", tmp_path / "made"
    content = {checkpoints.KEY: checkpoints.describe({}, {}), "state_dict": MakesFolder(made)}
    if way == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=way == "torch")
    with pytest.raises(InputError, match=r"a\.ckpt: .*could run code; it was not loaded"):
        checkpoints.read(path)
    assert not made.exists()


@pytest.mark.parametrize(
    "text",
    ["hello\n", "seed: 1\n", "version https://git-lfs.github.com/spec/v1\n", "<!DOCTYPE html>\n"],
    ids=["word", "yaml", "git-lfs pointer", "web page"],
)
def test_a_text_is_called_no_checkpoint(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.ckpt").write_text(text)
    with pytest.raises(InputError, match=r"a\.ckpt: .*not a checkpoint"):
        checkpoints.read(tmp_path / "a.ckpt")


@pytest.mark.parametrize("missing", sorted(checkpoints.describe({}, {})))
def test_a_description_that_lacks_a_key_is_refused(tmp_path: Path, missing: str) -> None:
    said = {key: value for key, value in checkpoints.describe({}, {}).items() if key != missing}
    torch.save({"state_dict": {}, checkpoints.KEY: said}, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match=r"a\.ckpt"):
        checkpoints.read(tmp_path / "a.ckpt")


@pytest.mark.parametrize(
    "wrong",
    [{"keypoints": None}, {"keypoints": 8}, {"keypoints": list(CORNERS[::-1]), "versions": {}}],
    ids=["no keypoints", "a number", "no version"],
)
def test_a_description_of_the_wrong_type_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    said = checkpoints.describe({}, {}) | wrong
    torch.save({"state_dict": {}, checkpoints.KEY: said}, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match=r"a\.ckpt"):
        checkpoints.read(tmp_path / "a.ckpt")


def test_a_checkpoint_without_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    torch.save({checkpoints.KEY: checkpoints.describe({}, {})}, path)
    with pytest.raises(InputError, match=r"a\.ckpt"):
        checkpoints.load_weights(nn.Linear(2, 3), checkpoints.read(path), path)


@pytest.mark.parametrize(
    "failure",
    [
        FileNotFoundError("git"),
        subprocess.CalledProcessError(128, "git"),
        subprocess.TimeoutExpired("git", 10),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_the_commit_is_unknown_where_git_fails(monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    def run(*args: Any, **kwargs: Any) -> None:
        raise failure

    monkeypatch.setattr(subprocess, "run", run)
    assert checkpoints.git_commit() == "unknown"
