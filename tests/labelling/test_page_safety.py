"""Nothing is lost at the page: two tabs, and a server that is killed while it saves."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from person import ASKED, marks

from cardpose.data.labels.store import JOURNAL, LabelFolder


def test_two_tabs_do_not_overwrite_each_other(serve: Callable, footage: Path, person: Callable) -> None:
    client = serve(footage)
    one, two = person(client.url), person(client.url)
    one.place_all(0)
    one.saved()
    first = marks(client, 0)
    two.click(50, 60)
    two.page.locator("#banner").wait_for(state="visible")
    assert "frames/0 frame 0 was changed in another tab" in two.text("banner")
    assert two.text("saving") == "Saving"
    assert marks(client, 0) == first
    two.page.get_by_role("button", name="Take the other one").click()
    two.page.locator("#banner").wait_for(state="hidden")
    assert two.corner(7).startswith("visible")
    two.press("8")
    two.press("h")
    two.saved()
    assert marks(client, 0)[ASKED[7]][2] == 1
    one.press("7")
    one.press("h")
    one.page.locator("#banner").wait_for(state="visible")
    one.page.get_by_role("button", name="Keep mine").click()
    one.page.locator("#banner").wait_for(state="hidden")
    one.saved()
    assert [marks(client, 0)[ASKED[i]][2] for i in (6, 7)] == [1, 2]


def start_server(root: Path, port: int, log: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "cardpose.label", str(root), f"--port={port}", "--model=none"]
    with log.open("w") as out:
        server = subprocess.Popen(command, cwd=root.parent, stdout=out, stderr=out)
    while "Open http" not in log.read_text():
        assert server.poll() is None, log.read_text()
        time.sleep(0.05)
    return server


def test_a_server_killed_while_saving_loses_nothing(footage: Path, person: Callable, tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = start_server(footage, port, tmp_path / "log")
    try:
        one = person(f"http://127.0.0.1:{port}/")
        sent: list[Any] = []
        one.page.on(
            "requestfinished",
            lambda request: (
                sent.append(json.loads(request.post_data)["marks"]) if request.method == "PUT" else None
            ),
        )
        one.place_all(0)
        one.press("8")
        for number in range(60):
            one.press("ArrowRight")
            if number == 30:
                os.kill(server.pid, signal.SIGKILL)
        server.wait()
        one.until(lambda: one.text("saving").startswith("Not saved"))
        kept = [
            json.loads(line) for line in (footage / JOURNAL).read_bytes().splitlines() if line.endswith(b"}")
        ]
        held = [entry["marks"] for entry in kept]
        with LabelFolder(footage) as folder:  # what the next command reads
            read = [mark and list(mark) for mark in folder.marks(("frames/0", 0))]
        assert held[-1] == read
        assert sent[-1] in held
        server = start_server(footage, port, tmp_path / "log")
        one.saved()  # the page has gone on trying
        last = sent[-1]
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 0
    x = last[ASKED[7]][0]
    assert one.corner(ASKED[7]).startswith(f"visible {x:.1f}")
    with LabelFolder(footage) as folder:
        assert [mark and list(mark) for mark in folder.marks(("frames/0", 0))] == last
    assert "1 of 6 frames labelled" in (tmp_path / "log").read_text()
    assert not (footage / JOURNAL).exists()
