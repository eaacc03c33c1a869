"""Somebody who labels at the page, in a real browser."""

import time
from collections.abc import Callable
from typing import Any

from labelling_footage import SIZE, drawn_box

from cardpose.common.packet import CORNERS

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


def marks(client: Any, number: int) -> list:
    return client("GET", f"/api/frames/{number}").json["marks"]
