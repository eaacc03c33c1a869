"""A dataset folder with everything that a format may lack, and its trip through one."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cardpose.data.footage.folder import DatasetFolder
from cardpose.data.formats.exporting import export
from cardpose.data.formats.known import FORMATS

NEEDS = {"sleap": "sleap_io"}


@pytest.fixture(params=list(FORMATS))
def name(request: pytest.FixtureRequest) -> str:
    """Every format; skipped where its library is not installed."""
    if request.param in NEEDS:
        pytest.importorskip(NEEDS[request.param])
    return str(request.param)


@pytest.fixture(scope="session")
def exported(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """exported(name): the tiny folder written in a format, once; copy it to change it."""
    written: dict[str, Path] = {}

    def write(name: str) -> Path:
        if name not in written:
            out = tmp_path_factory.mktemp(name) / "out"
            export(DatasetFolder.read(tiny_folder), out, FORMATS[name], lambda: None)
            written[name] = out
        return written[name]

    return write


@pytest.fixture
def footage(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny folder, to put labels into."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "footage"))
