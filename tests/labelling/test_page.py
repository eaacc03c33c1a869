"""The page in a real browser, used as a person would, with the mouse."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from labelling_footage import HIDDEN_HERE, SIZE, drawn_box
from person import ASKED, marks

from cardpose.fusion.clips import Flag
from cardpose.prediction.records import Prediction


class KnowsAll:
    """Stands in for a model whose corners are right; of frame 4 it is least sure."""

    def __call__(self, image: np.ndarray) -> Prediction:
        number = int(np.argmin([np.abs(image.astype(int) - drawn_box(n)[1]).mean() for n in range(6)]))
        corners = drawn_box(number)[0]
        visibility = np.array([0.1 if i == HIDDEN_HERE else 0.9 for i in range(8)])
        confidence = np.full(8, 0.5 if number == 4 else 0.9)
        rest = {"cards": 30.0, "cards_std": 1.0, "thickness_mm": 12.0, "box": corners, "flag": Flag.GOOD}
        return Prediction(*SIZE, corners, confidence, confidence > 0.3, visibility, **rest)


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
    one.until(lambda: one.text("order").startswith("Sorted by"))
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
    assert "outlier" in one.page.locator("#marks g[data-corner='lower_right_back']").get_attribute("class")
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
