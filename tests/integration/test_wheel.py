"""The package as a user gets it: built offline, installed where the repository cannot be seen, run elsewhere."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import cardpose
from cardpose.models.released import RELEASED

ROOT = Path(__file__).parents[2]
TINY = (
    "render.clips=6",
    "render.frames_per_clip=2",
    "data.size=[32,64]",
    "split.folds=3",
    "split.val_videos=1",
)
"""A training in seconds."""

pytest.importorskip("hatchling", reason="the build is not installed: make venv")


def run(words: list[str | Path], cwd: Path, user: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """A command that must succeed, without what points to the repository."""
    env = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("PYTHON", "PYTEST", "COVERAGE"))
    }
    done = subprocess.run(
        [*user, *map(str, words)], cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel.

    Attributes:
        python, cardpose: its interpreter and its console script.
        package: the installed package.
    """

    python: Path
    cardpose: Path
    package: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution and the wheel of the repository."""
    folder = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "hatchling", "build", "-d", folder], ROOT)
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """The wheel in an environment of its own that finds the other packages, but no editable install."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, symlinks=True)
    paths = sysconfig.get_paths("venv", {"base": str(folder), "platbase": str(folder)})
    site, scripts = Path(paths["purelib"]), Path(paths["scripts"])
    # a folder that a .pth names is searched, but its own .pth, the editable install, is not read
    (site / "packages.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")
    python = scripts / "python"
    wheel = next(built.glob("*.whl"))
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps"]
    run([*pip, "--disable-pip-version-check", wheel], folder)
    package = site / "cardpose"
    files = [package, *package.rglob("*")]
    for path in files:
        path.chmod(path.stat().st_mode & ~0o222)
    yield Installed(python, scripts / "cardpose", package)
    for path in files:
        path.chmod(path.stat().st_mode | 0o200)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """A folder that cannot be written, and the command before a command that makes it so for root, too."""
    folder = tmp_path / "read only"
    folder.mkdir()
    folder.chmod(0o555)
    user: tuple[str, ...] = ()
    if os.geteuid() == 0:
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("root writes everywhere, and there is no setpriv")
        user = (setpriv, "--bounding-set", "-dac_override,-dac_read_search")
    probe = subprocess.run([*user, "touch", folder / "probe"], capture_output=True, check=False)
    if probe.returncode == 0 or (folder / "probe").exists():
        pytest.skip("every folder can be written here")
    yield folder, user
    folder.chmod(0o755)


def test_source_distribution_builds_the_same_wheel(built: Path, tmp_path: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    assert (source / "tests/fixtures").is_dir()
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist"], source)
    assert next((tmp_path / "dist").iterdir()).read_bytes() == next(built.glob("*.whl")).read_bytes()


def test_wheel_has_configuration_pages_and_one_version(installed: Installed, tmp_path: Path) -> None:
    files = {str(path.relative_to(installed.package)) for path in installed.package.rglob("*")}
    conf = {str(Path("conf", path.relative_to(ROOT / "conf"))) for path in (ROOT / "conf").rglob("*.yaml")}
    page = {str(path.relative_to(ROOT / "cardpose")) for path in (ROOT / "cardpose/labelling/page").iterdir()}
    assert (
        conf | page | {"py.typed"} | {f"zoo/{name}.{kind}" for name in RELEASED for kind in ("ckpt", "onnx")}
        <= files
    )
    code = (
        "import sys, cardpose, importlib.metadata as m;"
        "print(m.version('cardpose'), cardpose.__version__, cardpose.__file__);"
        "assert not {'torch', 'numpy', 'hydra'} & set(sys.modules)"
    )
    version, other, file = run([installed.python, "-c", code], tmp_path).stdout.split()
    assert version == other == cardpose.__version__
    assert Path(file).parent == installed.package
    assert run([installed.cardpose, "--version"], tmp_path).stdout.split() == ["cardpose", version]


def test_commands_run_in_another_folder(
    installed: Installed, tmp_path: Path, read_only: tuple[Path, tuple[str, ...]]
) -> None:
    """The package is read-only, and so is the current folder of all commands that are given their own."""
    work = tmp_path / "work"
    work.mkdir()
    fixed, user = read_only

    def command(*words: str | Path, cwd: Path = work) -> str:
        return run([installed.cardpose, *words], cwd, user).stdout

    assert "synthesize" in command("--help", cwd=fixed)
    clips = ["clips=1", "frames_per_clip=2", "counts=[20]", "width=96", "height=64", "workers=1"]
    command("synthesize", f"out={tmp_path / 'footage'}", *clips, cwd=fixed)
    assert list(work.iterdir()) == []
    command("train", "experiment=quick", "debug=smoke", *TINY)
    assert {path.name for path in work.iterdir()} == {"outputs"}
    (run_folder,) = work.glob("outputs/smoke_*")
    video = next((tmp_path / "footage/videos").iterdir())
    command("predict", video, "--model", run_folder, "--out", tmp_path / "predictions", cwd=fixed)
    assert (tmp_path / "predictions/clips.csv").read_text(encoding="utf-8").count("\n") == 2
    command("predict", video, "--out", tmp_path / "released", cwd=fixed)
    assert (tmp_path / "released/clips.csv").read_text(encoding="utf-8").count("\n") == 2
    assert all(name in command("models", cwd=fixed) for name in RELEASED)
    assert list(fixed.iterdir()) == []
