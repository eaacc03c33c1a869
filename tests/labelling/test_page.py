"""The page in a real browser, used as a person would: mouse, keys and fingers."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelling_footage import HIDDEN_HERE, SIZE, drawn_box

from cardpose.clips import Flag
from cardpose.data.labels import JOURNAL, LabelFolder
from cardpose.inference import FramePrediction
from cardpose.packet import CORNERS

PATIENCE = 20.0
"""Seconds after which what should have come has not."""
ASKED = [
    CORNERS.index(f"{row}_{side}")
    for row, side in (
        *(("upper_left", "back"), ("upper_right", "back"), ("lower_right", "back"), ("lower_left", "back")),
        *(("lower_left", "face"), ("lower_right", "face"), ("upper_right", "face"), ("upper_left", "face")),
    )
]
"""The order in which the page asks for corners."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a window, once for all tests."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


class Person:
    """Somebody at the page, whose interactions are counted.

    Args:
        context: of the browser.
        url: of the page.
    """

    def __init__(self, context: Any, url: str) -> None:
        self.page = context.new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(url)
        self.until(lambda: self.text("video"))
        self.interactions = 0

    def until(self, seen: Callable[[], Any]) -> None:
        """Wait for something; the page allows no evaluated code, so that Playwright's own waiting does not do."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if seen():
                return
            self.page.wait_for_timeout(10)
        raise AssertionError(f"waited in vain; the page says {self.page.inner_text('body')!r}")

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of the whole picture is in the window."""
        box = self.page.locator("#stage").bounding_box()
        scale = min(box["width"] / SIZE[0], box["height"] / SIZE[1])
        left = box["x"] + (box["width"] - SIZE[0] * scale) / 2
        top = box["y"] + (box["height"] - SIZE[1] * scale) / 2
        return left + (x + 0.5) * scale, top + (y + 0.5) * scale

    def click(self, x: float, y: float, shift: bool = False) -> None:
        self.interactions += 1
        if shift:
            self.page.keyboard.down("Shift")
        self.page.mouse.click(*self.at(x, y))
        if shift:
            self.page.keyboard.up("Shift")

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.interactions += 1
        self.page.mouse.move(*self.at(*start))
        self.page.mouse.down()
        self.page.mouse.move(*self.at(*end), steps=4)
        self.page.mouse.up()

    def press(self, key: str) -> None:
        self.interactions += 1
        self.page.keyboard.press(key)

    def place_all(self, number: int) -> None:
        corners, _ = drawn_box(number)
        for corner in ASKED:
            self.click(*corners[corner])

    def saved(self) -> None:
        """Wait until the page says so."""
        self.until(lambda: self.text("saving") == "Saved")

    def shows(self, frame: str) -> None:
        """Wait until the page shows "frames/0 frame 1"."""
        self.until(lambda: self.text("where").startswith(frame))

    def text(self, id: str) -> str:
        return self.page.locator(f"#{id}").inner_text()

    def corner(self, number: int) -> str:
        """What the page says of a corner: "visible 12.0, 34.5"."""
        return self.page.locator(f"#corners [data-number='{number}'] small").text_content()


@pytest.fixture
def person(browser: Any) -> Iterator[Callable[..., Person]]:
    """person(url, **context): somebody at the page; no script may fail."""
    people: list[Person] = []

    def come(url: str, **context: Any) -> Person:
        own = browser.new_context(**{"viewport": {"width": 1100, "height": 760}, **context})
        own.set_default_timeout(1000 * PATIENCE)
        people.append(Person(own, url))
        return people[-1]

    yield come
    for somebody in people:
        somebody.page.context.close()
        assert somebody.errors == []


def marks(client: Any, number: int) -> list:
    return client("GET", f"/api/frames/{number}").json["marks"]


class KnowsAll:
    """Stands in for a model whose corners are right; of frame 4 it is least sure."""

    def __call__(self, image: np.ndarray) -> FramePrediction:
        number = int(np.argmin([np.abs(image.astype(int) - drawn_box(n)[1]).mean() for n in range(6)]))
        corners = drawn_box(number)[0]
        visibility = np.array([0.1 if i == HIDDEN_HERE else 0.9 for i in range(8)])
        confidence = np.full(8, 0.5 if number == 4 else 0.9)
        rest = {"cards": 30.0, "spread": 1.0, "thickness_mm": 12.0, "box": corners, "flag": Flag.GOOD}
        return FramePrediction(*SIZE, corners, confidence, visibility, **rest)


def test_eight_clicks_and_a_key_without_a_model(serve: Callable, footage: Path, person: Callable) -> None:
    client = serve(footage)
    one = person(client.url)
    assert one.text("prompt") == "Click the upper left back"
    one.place_all(0)
    one.press("Enter")
    one.shows("frames/0 frame 1")
    assert one.interactions == 9
    one.saved()
    assert one.text("progress-text") == "1 of 6 labelled"
    scale = 1100 / SIZE[0]  # more screen than picture: a click is exact to less than half a pixel
    got = np.array(marks(client, 0))
    np.testing.assert_allclose(got[:, :2], drawn_box(0)[0], atol=1 / scale + 0.01)
    assert (got[:, 2] == 2).all()


def test_one_key_where_the_proposals_are_right(serve: Callable, footage: Path, person: Callable) -> None:
    client = serve(footage, KnowsAll())
    one = person(client.url)
    one.until(lambda: one.text("order").startswith("The frames of which"))
    order = []
    for done in range(6):
        order.append(one.text("where"))
        one.interactions = 0
        one.press("Enter")
        assert one.interactions <= 3
        one.until(lambda n=done + 1: one.text("progress-text") == f"{n} of 6 labelled")
        one.saved()
        if done < 5:
            one.until(lambda: one.text("state") == "not labelled")
    assert len(set(order)) == 6
    assert one.text("prompt") == "All frames are labelled."
    for number in range(6):
        got = np.array(marks(client, number))
        np.testing.assert_allclose(got[:, :2], drawn_box(number)[0], atol=0.01)
        assert got[:, 2].tolist() == [1 if i == HIDDEN_HERE else 2 for i in range(8)]


def test_the_frame_of_least_confidence_comes_first(serve: Callable, footage: Path, person: Callable) -> None:
    client = serve(footage, KnowsAll())
    while not client("GET", "/api/progress").json["finished"]:
        time.sleep(0.05)
    one = person(client.url)
    one.shows("frames/1 frame 1")
    assert one.page.input_value("#position") == "1"
    assert one.corner(HIDDEN_HERE) == "proposed"
    start = drawn_box(4)[0][7]
    one.drag(tuple(start), (start[0] + 6, start[1] + 4))  # correcting one decides that one alone
    one.saved()
    got = marks(client, 4)
    assert [mark is None for mark in got] == [i != 7 for i in range(8)]
    np.testing.assert_allclose(got[7][:2], start + np.array((6, 4)), atol=0.5)


def test_drag_hide_undo_redo_and_reload(serve: Callable, footage: Path, person: Callable) -> None:
    client = serve(footage)
    one = person(client.url)
    one.place_all(0)
    one.saved()
    placed = marks(client, 0)
    x, y = placed[7][:2]
    one.drag((x, y), (x + 20, y - 10))
    one.saved()
    moved = marks(client, 0)
    np.testing.assert_allclose(moved[7][:2], (x + 20, y - 10), atol=0.6)
    assert moved[:7] == placed[:7]
    one.press("h")
    one.saved()
    assert marks(client, 0)[7][2] == 1
    one.page.locator("#seen [data-seen='0']").click()
    one.saved()
    assert marks(client, 0)[7] == [0, 0, 0]
    for wanted in ([*moved[7][:2], 1], moved[7], placed[7]):
        one.press("Control+z")
        one.saved()
        assert marks(client, 0)[7] == wanted
    one.press("Control+Shift+Z")
    one.page.locator("#redo").click()
    one.saved()
    assert marks(client, 0)[7] == [*moved[7][:2], 1]
    one.page.reload()
    one.shows("frames/0 frame 0")
    one.until(lambda: one.text("state") == "labelled")
    assert one.corner(7) == f"hidden {moved[7][0]:.1f}, {moved[7][1]:.1f}"
    drawn = one.page.locator("#marks g[data-corner='lower_right_back']")
    assert "hidden" in drawn.get_attribute("class").split()


def test_a_zoomed_and_moved_view_places_where_one_points(
    serve: Callable, footage: Path, person: Callable
) -> None:
    client = serve(footage)
    one = person(client.url)
    box = one.page.locator("#stage").bounding_box()
    x, y = map(round, one.at(100, 80))  # a wheel's place is whole
    scale = min(box["width"] / SIZE[0], box["height"] / SIZE[1])
    point = np.array((100, 80)) + (np.array((x, y)) - one.at(100, 80)) / scale
    one.page.mouse.move(x, y)
    one.page.mouse.wheel(0, -800)
    one.page.wait_for_timeout(100)
    one.page.mouse.click(x, y)  # the zoom is about the pointer
    scale *= np.exp(2)
    one.page.mouse.move(x, y + 150)
    one.page.mouse.down()
    one.page.mouse.move(x + 40, y + 120, steps=5)  # the picture goes along
    one.page.mouse.up()
    one.page.mouse.click(x + 90, y - 30)
    one.saved()
    got = marks(client, 0)
    np.testing.assert_allclose(got[ASKED[0]][:2], point, atol=0.02)
    np.testing.assert_allclose(got[ASKED[1]][:2], point + np.array((50 / scale, 0)), atol=0.05)
    assert sum(mark is not None for mark in got) == 2


def test_keys_alone_label_a_frame(serve: Callable, footage: Path, person: Callable) -> None:
    client = serve(footage)
    one = person(client.url)
    wanted = drawn_box(0)[0].round(1)
    assert one.page.evaluate("document.activeElement.id") == "stage"
    for place, corner in enumerate(ASKED, start=1):
        one.press(str(place))
        one.press(" ")
        x, y = map(float, re.findall(r"[\d.]+", one.corner(corner)))
        gaps = wanted[corner] - (x, y)
        for gap, less, more in zip(gaps, ("ArrowLeft", "ArrowUp"), ("ArrowRight", "ArrowDown"), strict=True):
            steps = round(abs(gap) * 10)
            for held, size in (("Control+", 100), ("Shift+", 10), ("", 1)):
                for _ in range(steps // size):
                    one.press(held + (more if gap > 0 else less))
                steps %= size
        if corner == HIDDEN_HERE:
            one.press("h")
    one.saved()
    got = np.array(marks(client, 0))
    np.testing.assert_allclose(got[:, :2], wanted, atol=0.11)
    assert got[:, 2].tolist() == [1 if i == HIDDEN_HERE else 2 for i in range(8)]
    one.press("Control+z")
    one.press("Control+Shift+Z")
    one.saved()
    assert marks(client, 0) == got.tolist()
    one.press("Enter")
    one.shows("frames/0 frame 1")


def test_every_control_is_reached_by_tab_named_and_seen(
    serve: Callable, footage: Path, person: Callable
) -> None:
    one = person(serve(footage).url)
    one.place_all(0)
    reached = set()
    for _ in range(40):
        one.page.keyboard.press("Tab")
        said = one.page.evaluate(
            """() => {
                const e = document.activeElement, seen = getComputedStyle(e);
                const name = e.ariaLabel || e.textContent || e.labels?.[0]?.textContent || "";
                const id = e.id || e.dataset.number || e.dataset.seen;
                return [id, name, seen.outlineStyle, parseFloat(seen.outlineWidth)];
            }"""
        )
        if said[0] is None:
            continue
        assert said[1].strip(), said
        assert said[2] != "none", said
        assert said[3] >= 2, said
        reached.add(said[0])
    enabled = one.page.evaluate(
        """[...document.querySelectorAll('button:not(:disabled):not(dialog *), input, select, #stage')]
        .map((e) => e.id || e.dataset.number || e.dataset.seen)"""
    )
    assert set(enabled) <= reached
    one.page.locator("#stage").focus()
    one.press("?")
    assert one.page.locator("dialog").is_visible()
    one.press("Escape")
    assert not one.page.locator("dialog").is_visible()


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


def test_the_box_helps_and_warns_and_the_frame_before_is_copied(
    serve: Callable, footage: Path, person: Callable
) -> None:
    client = serve(footage)
    one = person(client.url)
    corners = drawn_box(0)[0]
    for corner in ASKED[:7]:
        one.click(*corners[corner])
    one.saved()
    one.press("b")
    one.saved()
    got = marks(client, 0)
    assert got[HIDDEN_HERE][2] == 1
    np.testing.assert_allclose(got[HIDDEN_HERE][:2], corners[HIDDEN_HERE], atol=3)
    one.press("PageDown")
    one.shows("frames/0 frame 1")
    one.press("c")
    one.until(lambda: marks(client, 1) == got)
    x, y = got[7][:2]
    one.drag((x, y), (x + 40, y + 15))
    one.until(lambda: "lower right back is" in one.text("warning"))
    assert "blamed" in one.page.locator("#marks g[data-corner='lower_right_back']").get_attribute("class")
    one.press("Control+z")
    one.until(lambda: not one.page.locator("#warning").text_content())


def test_counts_and_jumps(serve: Callable, footage: Path, person: Callable) -> None:
    client = serve(footage)
    one = person(client.url)
    one.page.fill("#cards", "17")
    one.page.keyboard.press("Tab")
    one.until(lambda: "17 cards" in one.text("prompt"))
    one.page.fill("#cards", "170")
    one.page.keyboard.press("Tab")
    one.until(lambda: "from 1 to 104" in one.text("prompt"))
    assert one.page.input_value("#cards") == "17"
    assert client("GET", "/api/session").json["videos"][0]["cards"] == 17
    one.page.select_option("#videos", "1")
    one.shows("frames/1 frame 0")
    one.page.fill("#position", "3")
    one.page.keyboard.press("Enter")
    one.shows("frames/0 frame 2")
    one.page.locator("#stage").focus()
    one.place_all(2)
    one.press("Enter")
    one.shows("frames/1 frame 0")
    one.press("p")
    one.shows("frames/0 frame 2")
    one.press("u")
    one.shows("frames/1 frame 0")


def test_a_phone_with_fingers(serve: Callable, footage: Path, person: Callable) -> None:
    client = serve(footage)
    phone = {"viewport": {"width": 390, "height": 780}, "has_touch": True, "is_mobile": True}
    one = person(client.url, **phone)
    assert one.page.evaluate("document.documentElement.scrollWidth") <= 390
    for button in one.page.locator("#go button").all():
        assert button.bounding_box()["height"] >= 40
    corners = drawn_box(0)[0]
    for corner in ASKED[:7]:
        one.page.touchscreen.tap(*one.at(*corners[corner]))
    # The last one exactly: hold, move under the magnifier, let go.
    touch = one.page.context.new_cdp_session(one.page)

    def finger(kind: str, *points: tuple[float, float]) -> None:
        told = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": told})

    x, y = one.at(*corners[ASKED[7]])
    finger("touchStart", (x - 40, y - 60))
    one.page.locator("#loupe").wait_for(state="visible")
    finger("touchMove", (x, y))
    finger("touchEnd")
    one.saved()
    got = np.array(marks(client, 0))
    np.testing.assert_allclose(
        got[:, :2], corners, atol=1.3
    )  # a finger's pixel is most of one of the picture
    one.page.locator("#seen [data-seen='1']").is_visible()

    # Two fingers zoom: the same two points of the picture are farther apart.
    def between() -> float:
        places = [
            re.findall(
                r"[-\d.]+", one.page.locator(f"#marks g[data-corner='{name}']").get_attribute("transform")
            )
            for name in ("upper_left_back", "lower_right_back")
        ]
        return float(np.linalg.norm(np.diff(np.array(places, float), axis=0)))

    before = between()
    finger("touchStart", (150, 250), (200, 250))
    for spread in (10, 20, 30, 40, 50):
        finger("touchMove", (150 - spread, 250), (200 + spread, 250))
    finger("touchEnd")
    assert between() > 2 * before
    assert marks(client, 0) == got.tolist()
    one.page.locator("#accept").tap()
    one.shows("frames/0 frame 1")


def start_server(root: Path, port: int, log: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "cardpose.label", f"data={root}", f"port={port}"]
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
        said: list[Any] = []
        one.page.on(
            "requestfinished",
            lambda request: (
                said.append(json.loads(request.post_data)["marks"]) if request.method == "PUT" else None
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
        assert said[-1] in held
        server = start_server(footage, port, tmp_path / "log")
        one.saved()  # the page has gone on trying
        last = said[-1]
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 0
    x = last[ASKED[7]][0]
    assert one.corner(ASKED[7]).startswith(f"visible {x:.1f}")
    with LabelFolder(footage) as folder:
        assert [mark and list(mark) for mark in folder.marks(("frames/0", 0))] == last
    assert "1 of 6 frames labelled" in (tmp_path / "log").read_text()
    assert not (footage / JOURNAL).exists()
