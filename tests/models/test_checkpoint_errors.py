"""Files that are no checkpoint of cardpose: each is refused for what it is, whatever torch says of it."""

import os
import pickle
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from in_process import Command
from torch import nn

from cardpose import evaluate, train
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
    entry = {key: value for key, value in checkpoints.describe({}, {}).items() if key != missing}
    torch.save({"state_dict": {}, checkpoints.KEY: entry}, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match=r"a\.ckpt"):
        checkpoints.read(tmp_path / "a.ckpt")


@pytest.mark.parametrize(
    "wrong",
    [{"keypoints": None}, {"keypoints": 8}, {"keypoints": list(CORNERS[::-1]), "versions": {}}],
    ids=["no keypoints", "a number", "no version"],
)
def test_a_description_of_the_wrong_type_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    entry = checkpoints.describe({}, {}) | wrong
    torch.save({"state_dict": {}, checkpoints.KEY: entry}, tmp_path / "a.ckpt")
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


def whole(path: Path, **changes: Any) -> Path:
    """A checkpoint with a changed entry."""
    state = {"net.a": torch.ones(3), "net.b": torch.ones(200, 200), "net.n": torch.tensor(1)}
    content = {"state_dict": state, checkpoints.KEY: checkpoints.describe({}, {}) | changes}
    checkpoints.write(content, path)
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = whole(tmp_path / "new folder" / "a.ckpt")
    assert checkpoints.read(path)["state_dict"]["net.b"].sum() == 200 * 200
    assert [item.name for item in path.parent.iterdir()] == ["a.ckpt"]


def test_a_damaged_directory_of_the_archive_is_one_line(tmp_path: Path, drawn_checkpoint: Path) -> None:
    """Of the last entry the name: the flag that it is UTF-8 is set, and a byte is not."""
    data = bytearray(drawn_checkpoint.read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 9] |= 0x08
    data[entry + 46] = 0x82
    (tmp_path / "damaged.ckpt").write_bytes(data)
    with pytest.raises(InputError, match=r"damaged\.ckpt: damaged \(.*\): copy it again"):
        checkpoints.read(tmp_path / "damaged.ckpt")


def test_an_archive_that_says_it_is_in_parts_is_one_line(tmp_path: Path) -> None:
    """Of the locator of an archive on two disks Python 3.11 raises an error of its own."""
    locator = b"PK\x06\x07" + bytes(4 + 8) + (2).to_bytes(4, "little")
    (tmp_path / "a.ckpt").write_bytes(bytes(100) + locator + b"PK\x05\x06" + bytes(18))
    with pytest.raises(InputError, match=r"a\.ckpt: damaged"):
        checkpoints.read(tmp_path / "a.ckpt")


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    path = whole(tmp_path / "a.ckpt")
    content = bytearray(path.read_bytes())
    middle = content.index(torch.ones(64).numpy().tobytes()) + 100
    content[middle] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.ckpt: damaged, the checksum of .* is wrong: copy it again"):
        checkpoints.read(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    path = whole(tmp_path / "a.ckpt")
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["state_dict"]["net.b"][3, 4] = value
    torch.save(checkpoint, path)
    with pytest.raises(InputError, match=r"a\.ckpt: weight net\.b is not finite, the training diverged"):
        checkpoints.read(path)


@pytest.mark.parametrize(
    "odd",
    [
        {"interval": 3},
        {"interval": {}},
        {"calibration": "yes"},
        {"calibration": {"field_of_view": "wide"}},
        {"split": {"test": 3}},
        {"split": {"test": {"a.mp4": 3}}},
        {"versions": []},
        {"max_cards": "52"},
    ],
    ids=str,
)
def test_odd_metadata_is_one_line(tmp_path: Path, odd: dict[str, Any]) -> None:
    path = whole(tmp_path / "a.ckpt", **odd)
    with pytest.raises(InputError, match=r"a\.ckpt: [^\n]*$"):
        checkpoints.read(path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = whole(tmp_path / "a.ckpt")
    before = path.read_bytes()

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"a\.ckpt: No space left on device"):
        whole(path)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["a.ckpt"]


OLD = Path(__file__).parents[1] / "fixtures" / "v0_1_0" / "run" / "checkpoints" / "best.ckpt"


@pytest.mark.parametrize("odd", [..., None, "text", []], ids=["missing", "null", "text", "list"])
@pytest.mark.parametrize("key", ["trainer", "data", "model", "heatmap", "loss"])
def test_a_configuration_that_is_not_whole_is_one_line(
    tmp_path: Path, in_process: Command, key: str, odd: Any
) -> None:
    """evaluate builds a data module, a network, losses and a trainer of it; train continues with it."""
    checkpoint = torch.load(OLD, weights_only=True)
    config = checkpoint[checkpoints.KEY]["config"]
    config.pop(key) if odd is ... else config.update({key: odd})
    path = tmp_path / "run" / "checkpoints" / "a.ckpt"
    path.parent.mkdir(parents=True)
    torch.save(checkpoint, path)
    done = in_process(evaluate.main, str(path), "--data", str(tmp_path / "none"), "--split", "all")
    assert (done.code, done.err.strip().count("\n")) == (2, 0), done.err
    assert "a.ckpt" in done.err or key in done.err
    if odd is ...:
        done = in_process(train.main, f"resume={path}")
        assert done.code == 2
        assert ": its configuration has no " in done.err
