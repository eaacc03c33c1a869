"""The page without a mouse: keys alone, controls by name, a phone and fingers."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from labelling_footage import HIDDEN_HERE, drawn_box
from person import ASKED, marks


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
        one.saved()  # the next corner is proposed from the box of these, hidden or not
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
        shown = one.page.evaluate(
            """() => {
                const e = document.activeElement, seen = getComputedStyle(e);
                const name = e.ariaLabel || e.textContent || e.labels?.[0]?.textContent || "";
                const id = e.id || e.dataset.number || e.dataset.seen;
                return [id, name, seen.outlineStyle, parseFloat(seen.outlineWidth)];
            }"""
        )
        if shown[0] is None:
            continue
        assert shown[1].strip(), shown
        assert shown[2] != "none", shown
        assert shown[3] >= 2, shown
        reached.add(shown[0])
    enabled = one.page.evaluate(
        """[...document.querySelectorAll('button:not(:disabled):not(dialog *), input, select, #stage')]
        .map((e) => e.id || e.dataset.number || e.dataset.seen)"""
    )
    assert set(enabled) <= reached
    one.page.locator("#stage").focus()
    one.press("?")
    assert one.page.locator("#help").is_visible()
    one.press("Escape")
    assert not one.page.locator("#help").is_visible()


def test_the_picture_of_the_corner_names_is_a_key_away(
    serve: Callable, footage: Path, person: Callable
) -> None:
    one = person(serve(footage).url)
    one.press("i")
    picture = one.page.locator("#names-dialog img")
    assert picture.is_visible()
    one.until(lambda: picture.evaluate("image => image.complete && image.naturalWidth > 0"))
    one.press("Escape")
    assert not picture.is_visible()


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
        touches = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

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
