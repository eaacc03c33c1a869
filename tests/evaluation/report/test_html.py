"""A page holds all that it shows, says what its pictures show, and takes names as they are."""

import base64
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from cardpose.common.errors import InputError
from cardpose.evaluation.report.html import Picture, Section, Table, image_files, write_page

IMAGE = np.broadcast_to(np.linspace(0, 255, 40)[:, None], (30, 40, 3)).round().astype(np.uint8)


class Page(HTMLParser):
    """What a browser would load, and what a reader would hear."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: set[str] = set()
        self.images: list[dict[str, str | None]] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = dict(attrs)
        self.tags.append(tag)
        self.addresses += [str(own[name]) for name in ("src", "href", "srcset", "poster") if name in own]
        self.ids |= {str(own["id"])} if "id" in own else set()
        if tag == "img":
            self.images.append(own)

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())


def written(path: Path, *sections: Section, **facts: str) -> Page:
    write_page(path / "report.html", "Title", facts, sections)
    return Page((path / "report.html").read_text())


def test_a_page_loads_nothing_and_runs_nothing(tmp_path: Path) -> None:
    pictures = [Picture("x", IMAGE, "a thing"), Picture("y", IMAGE, "another", "below", "photograph")]
    page = written(tmp_path, Section("One", ["text"], pictures=pictures), Section("Two"))
    assert "script" not in page.tags
    assert "link" not in page.tags
    inside = [address for address in page.addresses if not address.startswith("data:image/")]
    assert inside == ["#part-1", "#part-2"]
    assert page.ids >= {"part-1", "part-2"}
    assert "url(" not in (tmp_path / "report.html").read_text()


def test_pictures_are_inside_and_state_what_they_show(tmp_path: Path) -> None:
    pictures = [Picture("x", IMAGE, "a thing"), Picture("y", IMAGE, "another", "below", "photograph")]
    page = written(tmp_path, Section("One", pictures=pictures))
    assert [image["alt"] for image in page.images] == ["a thing", "another"]
    assert "below" in page.words
    for image, kind, reach in zip(page.images, ("png", "jpeg"), (0, 2), strict=True):
        head, _, data = str(image["src"]).partition(",")
        assert head == f"data:image/{kind};base64"
        drawn = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        assert (image["width"], image["height"]) == ("40", "30")
        assert np.abs(cv2.cvtColor(drawn, cv2.COLOR_BGR2RGB).astype(int) - IMAGE).mean() <= reach


def test_names_are_taken_as_they_are(tmp_path: Path) -> None:
    name = '<script>alert("a&b")</script>'
    table = Table([name, "x"], [[name, "1"]])
    page = written(tmp_path, Section(name, [name], table, [Picture("x", IMAGE, name, name)]), a=name)
    assert "script" not in page.tags
    assert page.images[0]["alt"] == name
    assert page.words.count(name) == 7  # contents, heading, text, two cells, caption, fact


def test_files_are_named_by_picture_or_sheet() -> None:
    single = Section("", pictures=[Picture("a", IMAGE, ""), Picture("", IMAGE, "")])
    sheet = Section("", pictures=[Picture("", IMAGE, "", "x")] * 5, sheet="all")
    files = image_files([single, sheet, Section("", sheet="empty")])
    assert list(files) == ["a", "all"]
    assert np.array_equal(files["a"], IMAGE)
    assert files["all"].shape[1] == 4 * 44


def test_a_page_is_whole_or_absent(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises((InputError, OSError)):
        written(tmp_path, Section("One"))
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
