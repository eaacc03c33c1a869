"""cardpose app: the page served, or written as a folder; paths of every kind are in test_paths."""

import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from in_process import Command

import cardpose.app
from cardpose.app import site


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page without its runtime, in an empty current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(site, "Site", partial(site.Site, folder=tmp_path))
    shutil.copytree(Path(site.__file__).parent / "page", tmp_path / "page")
    (tmp_path / "vendor").mkdir()
    return tmp_path


def test_without_the_runtime_it_is_one_line(in_process: Command, page: Path) -> None:
    done = in_process(cardpose.app.main, "--export=site")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("cardpose app: ")
    assert "make app" in done.err
    assert not (page / "site").exists()


def test_it_serves_until_ctrl_c(in_process: Command, page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("uvicorn")
    (page / "vendor" / site.RUNTIME).touch()

    def interrupted(sockets: list) -> None:
        sockets[0].close()
        raise KeyboardInterrupt

    served = SimpleNamespace(run=interrupted)
    monkeypatch.setattr("cardpose.labelling.serve.server", lambda app, keys=None: served)
    done = in_process(cardpose.app.main, "--port=0")
    assert (done.code, done.out.splitlines()[-1]) == (0, "stopped"), done.err
    assert "http://127.0.0.1:" in done.out + done.err
