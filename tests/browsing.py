"""Servers in a thread and the browser on this machine, for the tests of pages."""

import shutil
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest


def serve_in_thread(server: Any, listener: Any) -> Callable[[], bool]:
    """Run a uvicorn server; returns what stops it, which says whether it still ran."""
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.005)

    def stop() -> bool:
        if not thread.is_alive():
            return False
        server.should_exit = True
        thread.join()
        return True

    return stop


def chromium() -> str:
    """The program; without one the test is skipped."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium on this machine")
    return found
