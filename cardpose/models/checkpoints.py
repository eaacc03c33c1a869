"""Checkpoints that describe themselves, read with weights_only=True.

A checkpoint is Lightning's with one key more, "cardpose", that holds all that evaluation, prediction and export
need: nothing is rebuilt from the command line.
"""

import io
import subprocess
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from cardpose import __version__
from cardpose.common.errors import InputError, first_line
from cardpose.common.files import is_zip, replace_file, sync
from cardpose.common.packet import CORNERS, MAX_CARDS
from cardpose.fusion.settings import FusionConfig
from cardpose.models import builder, migrations
from cardpose.models.metadata import KEY, OTHER_VERSION, check_calibration

TYPES = {
    "config": dict,
    "split": dict,
    "keypoints": list,
    "max_cards": int,
    "versions": dict,
    "git_commit": str,
}
"""Types of the required keys of the entry."""

SHOWN = 3
"""Number of differing keys that a message lists."""
_FIRST_BYTES = {b"P", b"\x80"}  # of a zip file, which torch.save writes, and of a pickle


def describe(config: Mapping[str, Any], split: Mapping[str, Any]) -> dict[str, Any]:
    """The "cardpose" entry of a checkpoint.

    Args:
        config: the resolved configuration of the run, plain containers only.
        split: the run's `cardpose.data.splits.Split` as a dict of lists.
    """
    return {
        "config": dict(config),
        "split": dict(split),
        "keypoints": list(CORNERS),
        "max_cards": MAX_CARDS,
        "versions": {"cardpose": __version__, "torch": str(torch.__version__)},
        "git_commit": git_commit(),
    }


def git_commit() -> str:
    """The checked-out commit of cardpose's own repository, "-dirty" behind it where files differ, or "unknown"."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def write(checkpoint: Mapping[str, Any], path: str | Path) -> None:
    """Write a checkpoint beside its place, wait until it is on the disk, and rename it.

    Whatever ends the process, `path` holds the old file or the new one.

    Raises:
        InputError: the disk is full, or the folder may not be written to.
    """
    path, buffer = Path(path), io.BytesIO()
    torch.save(checkpoint, buffer)  # torch hides the system's error where it writes to a file itself
    with replace_file(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())
        sync(temporary)
    sync(path.parent)


def read(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint of any version onto the CPU; its configuration is migrated to this version.

    Raises:
        InputError: no such file; damaged or not a checkpoint; a pickle with code in it; not of cardpose; weights that
            are not finite; another keypoint order; a configuration that names what may not be built.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint: choose outputs/<run>/checkpoints/best.ckpt")
    checkpoint = load_safely(path)
    described = checkpoint.get(KEY) if isinstance(checkpoint, dict) else None
    if (
        not isinstance(described, dict)
        or not isinstance(checkpoint.get("state_dict"), dict)
        or not all(isinstance(described.get(key), kind) for key, kind in TYPES.items())
    ):
        raise InputError(
            f"{path}: a checkpoint, but not of cardpose (no complete {KEY!r} entry): train it with cardpose.train"
        )
    try:
        described["config"] = migrations.migrate(described["config"])
        builder.check(described["config"])
        check_calibration(described)
        _check_metadata(described)
        check_finite(checkpoint["state_dict"])
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return checkpoint


def _check_metadata(described: Mapping[str, Any]) -> None:
    """Check that keypoints and split are as this version has them.

    Raises:
        InputError: one of them is not.
    """
    version = described["versions"].get("cardpose", "of another version")
    if tuple(described["keypoints"]) != CORNERS:
        raise InputError(
            f"keypoints are {described['keypoints']}, this version's order is {list(CORNERS)}: use cardpose {version}"
        )
    for side, videos in described["split"].items():
        if not (isinstance(videos, dict) and all(isinstance(frames, list) for frames in videos.values())):
            raise InputError(
                f"its split's {side!r} is not a list of frames for each video: use another checkpoint"
            )


def check_finite(weights: Mapping[str, Any]) -> None:
    """Raise an `InputError` that names a weight that is NaN, infinite, or no tensor."""
    for name, value in weights.items():
        if not isinstance(value, Tensor):
            raise InputError(f"weight {name} is not a tensor: use another checkpoint")
        if value.is_floating_point() and not value.isfinite().all():
            raise InputError(
                f"weight {name} is not finite, the training diverged: use another checkpoint, or train again with a "
                "lower optim.lr"
            )


@contextmanager
def configuration_errors(path: str | Path) -> Iterator[None]:
    """Turn what a missing or odd entry of a checkpoint's configuration leads to in the block into an `InputError`.

    Args:
        path: of the checkpoint.

    Raises:
        InputError: an entry is missing or odd.
    """
    try:
        yield
    except InputError:
        raise
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        kind, reason = type(error).__name__, first_line(error)
        raise InputError(
            f"{path}: its configuration is not complete ({kind}: {reason}): {OTHER_VERSION}"
        ) from error


def fusion(described: Mapping[str, Any]) -> FusionConfig:
    """The fusion settings of the "cardpose" entry; those of version 0.1.0 where it is older than the settings."""
    return FusionConfig.from_dict(described["config"].get("fusion"))


def load_safely(path: Path) -> Any:
    """Content of a file of torch.save, plain values and tensors only.

    torch answers a file of another kind with whatever exception its first bytes lead to.

    Raises:
        InputError: it is damaged, of another kind, or holds other objects.
    """
    with path.open("rb") as file:
        is_pickle = file.read(2)[:1] in _FIRST_BYTES
    if is_zip(path):
        try:
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
        except Exception as error:  # of any kind, such as a name that is not UTF-8
            raise InputError(f"{path}: damaged ({first_line(error)}): copy it again") from None
        if damaged:
            raise InputError(f"{path}: damaged, the checksum of {damaged} is wrong: copy it again")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        if is_pickle and isinstance(error, UnpicklingError):
            raise InputError(
                f"{path}: holds more than weights and plain values and could run code; it was not loaded, use a "
                "checkpoint written by cardpose.train"
            ) from None
        raise InputError(
            f"{path}: truncated or not a checkpoint ({first_line(error)}); copy it again"
        ) from None


def load_weights(
    net: nn.Module,
    checkpoint: Mapping[str, Any],
    name: str | Path,
    parts: Sequence[str] | None = None,
    *,
    fix: str = "",
) -> None:
    """Load the network's weights of a checkpoint into `net`.

    Args:
        checkpoint: as `read` returns it.
        parts: names of the network's modules to load; None: all.
        fix: how to fix weights of another architecture, for the message; "": choose its network, or the equal parts.

    Raises:
        InputError: the network has no such part, or the weights are of another architecture; names the keys.
    """
    known = [part for part, _ in net.named_children()]
    for part in parts or ():
        if part not in known:
            raise InputError(f"init_modules: no part {part!r}: choose among {', '.join(known)}")
    prefixes = tuple(f"{part}." for part in parts) if parts is not None else ("",)
    weights = {
        key.removeprefix("net."): value
        for key, value in checkpoint["state_dict"].items()
        if key.startswith("net.") and key.removeprefix("net.").startswith(prefixes)
    }
    own = {key: value for key, value in net.state_dict().items() if key.startswith(prefixes)}
    differing = list(_differences(weights, own))
    if differing:
        more = ", ..." if len(differing) > SHOWN else ""
        alike = [part for part in parts or known if not any(key.startswith(f"{part}.") for key in differing)]
        some = f", or load only the equal parts: init_modules=[{','.join(alike)}]" if alike else ""
        fix = fix or f"choose the model and sizes that it was trained with{some}"
        raise InputError(
            f"{name}: weights of another architecture, {len(differing)} keys differ "
            f"({', '.join(differing[:SHOWN])}{more}): {fix}"
        )
    net.load_state_dict(weights, strict=False)  # the loaded parts are complete, see above


def _differences(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Iterator[str]:
    """How `weights` differ from the weights `own` in names and shapes, a phrase per key."""
    for key, value in own.items():
        if key not in weights:
            yield f"{key} missing"
        elif weights[key].shape != value.shape:
            yield f"{key} {tuple(weights[key].shape)} for {tuple(value.shape)}"
    yield from (f"{key} not in the model" for key in weights if key not in own)
