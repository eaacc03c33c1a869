"""The closed builder: what conf/ names can be built, and nothing else."""

import copy
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from cardpose.common.errors import InputError
from cardpose.common.hydra_entry import CONF
from cardpose.models import builder
from cardpose.models.builder import build, check
from cardpose.models.head import PooledFeatures

BUILT_BY_HYDRA = ("hydra_plugins.", "hydra._internal.", "cardpose.common.hydra_entry.")
"""Launchers, sweepers and callbacks of Hydra itself, in no stored configuration."""
NOT_IN_CONF: dict[str, str] = {}
"""Allowed names that no file in conf/ has, and why they are allowed."""

GRID = {"_target_": "cardpose.models.head.PooledFeatures", "grid": [2, 3]}
REFUSED: list[Any] = [
    "os.system",
    "builtins.eval",
    "builtins.exec",
    "subprocess.run",
    "cardpose.commands.call",
    "cardpose.common.subprocesses.call",
    "cardpose.train.train",
    "cardpose.models",
    "cardpose.models.unet",
    "cardpose.models.unet.torch",
    "cardpose.models.unet.nn.Module",
    "cardpose.models.unet.nowhere",
    "cardpose.models.nowhere.Net",
    "cardpose.models.unet.UNet.__init__",
    "cardpose.models.unet.UNet.__init__.__globals__",
    "cardpose.models.unet.__builtins__",
    "cardpose.models.checkpoints.subprocess.run",
    "cardpose.models.checkpoints.git_commit",
    "cardpose.models.checkpoints.Path",
    "cardpose.models.from_config.end_to_end",
    "cardpose.models.builder.build",
    "cardpose.models..unet.UNet",
    "cardpose.models.heatmaps.encode.__globals__",
    "cardpose.data.footage.folder.DatasetFolder",
    "cardpose.data.footage.folder.os.system",
    "torch.optim.AdamW.__init__",
    "torch.load",
    "torch.hub.load",
    "torch.optim",
    "",
    ".",
    None,
    1,
    ["os.system"],
    {"_target_": "os.system"},
]


def targets(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield node["_target_"]
        for value in node.values():
            yield from targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from targets(value)


def conf_targets() -> dict[str, Path]:
    return {
        target: path
        for path in sorted(CONF.rglob("*.yaml"))
        for target in targets(yaml.safe_load(path.read_text()))
        if not target.startswith(BUILT_BY_HYDRA)
    }


@pytest.mark.parametrize("target", sorted(conf_targets()))
def test_what_conf_names_is_allowed_and_exists(target: str) -> None:
    check({"_target_": target})


def test_what_is_allowed_stands_in_conf_or_has_a_reason() -> None:
    assert {name for name in conf_targets() if builder._class_of_models(name) is None} | set(
        NOT_IN_CONF
    ) == builder.ALLOWED


@pytest.mark.parametrize("target", REFUSED, ids=str)
def test_other_targets_are_refused(target: Any) -> None:
    with pytest.raises(InputError, match=r"^count\.head: _target_ .* is not allowed"):
        build({"head": {"_target_": target}}, "count")


def test_nothing_is_imported_for_a_refused_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "canary_module.py").write_text("from pathlib import Path; Path('CANARY').touch()")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="is not allowed"):
        build({"_target_": "canary_module.call"})
    assert not (tmp_path / "CANARY").exists()


def test_every_node_is_checked_before_the_first_is_built(tmp_path: Path) -> None:
    made = {"_target_": "cardpose.training.loggers.TensorBoard", "save_dir": str(tmp_path / "made")}
    with pytest.raises(InputError, match=r"later\.1\.x: _target_ os\.system"):
        build({"now": made, "later": [1, {"x": {"_target_": "os.system"}}]})
    assert not (tmp_path / "made").exists()


def test_nested_nodes_lists_and_partials_are_built() -> None:
    built = build({"a": [GRID, 1], "b": {**GRID, "_partial_": True, "_convert_": "all"}, "c": None})
    assert isinstance(built["a"][0], PooledFeatures)
    assert built["a"][1] == 1
    assert isinstance(built["b"], partial)
    assert built["b"]().size == built["a"][0].size
    assert built["c"] is None


def test_objects_among_the_arguments_are_handed_over() -> None:
    marker = object()
    assert build({"x": marker})["x"] is marker


@pytest.mark.parametrize(
    ("node", "line"),
    [
        ({**GRID, "width": 1}, r"^model\.head cannot be built: .*unexpected keyword argument 'width'"),
        ({**GRID, "_args_": [1]}, r"^model\.head\._args_: no such directive: choose _target_"),
        (
            {"_target_": "cardpose.models.counts.Distribution", "sigma": 0},
            r"^count_head\.sigma=0: choose a number above 0",
        ),
    ],
)
def test_a_wrong_argument_is_one_line(node: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=line):
        build({"head": node}, "model")


def test_a_configuration_without_end_is_one_line() -> None:
    endless: dict[str, Any] = copy.deepcopy(GRID)
    endless["grid"] = endless
    with pytest.raises(InputError, match="nested too deeply"):
        build(endless, "model")


@pytest.mark.parametrize("value", ["text", [[1]], {}, True, float("nan"), float("inf"), 10**400])
def test_a_number_of_another_type_is_one_line(value: Any) -> None:
    """A network may use it as late as on the first picture."""
    for target, name in (("head.ThicknessFeatures", "found"), ("head.BoxFeatures", "tolerance")):
        settings = {"_target_": f"cardpose.models.{target}", "found": 0.3, "tolerance": 0.1} | {name: value}
        with pytest.raises(InputError, match=rf"^head\.{name} is [^\n]{{,60}}: write a number$"):
            build(settings, "head")
