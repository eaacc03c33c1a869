"""cardpose label: what it prints, and what it leaves in the folder; paths of every kind are in test_paths."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from in_process import Command, Done

from cardpose.data.footage.folder import DatasetFolder
from cardpose.label import main

pytest.importorskip("uvicorn", reason='needs the extra: pip install -e ".[label]"')


@pytest.fixture
def served(
    in_process: Command, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Done]:
    """The folder, and what the command printed until Ctrl-C, for every host."""

    def interrupted(sockets: list) -> None:
        sockets[0].close()
        raise KeyboardInterrupt

    server = SimpleNamespace(run=interrupted)
    monkeypatch.setattr("cardpose.labelling.serve.server", lambda app, keys=None: server)
    monkeypatch.setattr("cardpose.labelling.serve.reachable", lambda host: "192.0.2.7")
    root = Path(shutil.copytree(tiny_folder, tmp_path / "footage"))
    words = ("--model=none", "--port=0", "--host=0.0.0.0", f"--cache={tmp_path / 'cache'}")
    return root, in_process(main, str(root), *words)


def test_the_link_has_a_token_and_the_progress_is_the_last_line(served: tuple[Path, Done]) -> None:
    _, done = served
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == "42 of 42 frames labelled"
    assert "http://192.0.2.7:" in done.out + done.err
    assert "/?token=" in done.out + done.err
    assert "Whoever has this link can see the footage" in done.err


def test_a_look_changes_no_label(served: tuple[Path, Done], tiny_folder: Path) -> None:
    root, _ = served
    for before, after in zip(
        DatasetFolder.read(tiny_folder).annotations, DatasetFolder.read(root).annotations, strict=True
    ):
        assert (before.frame_id, before.cards) == (after.frame_id, after.cards)
        assert (before.visibility == after.visibility).all()
