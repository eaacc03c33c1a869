"""Pages that open from disk: one HTML file with its pictures embedded, which loads nothing and runs no script.

Every page of cardpose (evaluation, comparison, cross-validation, sweep, check) is a list of `Section`s for
`write_page`. Text is escaped.
"""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from cardpose.common.files import replace_file
from cardpose.common.images import encode_image
from cardpose.evaluation.report.drawing import contact_sheet


@dataclass(frozen=True)
class Picture:
    """A picture of a page.

    Args:
        name: name of its own file, without a suffix; "" if it needs none.
        image: (H, W, 3) uint8 RGB.
        alt: alternative text.
        caption: text below it; may have several lines or be empty.
        kind: a drawing is stored as PNG, a photograph as JPEG.
    """

    name: str
    image: np.ndarray
    alt: str
    caption: str = ""
    kind: Literal["drawing", "photograph"] = "drawing"

    @property
    def source(self) -> str:
        """The picture as a data URL."""
        suffix, media = {"drawing": (".png", "png"), "photograph": (".jpg", "jpeg")}[self.kind]
        return f"data:image/{media};base64,{b64encode(encode_image(self.image, suffix)).decode()}"


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        headings: one per column.
        rows: as many cells each; the first is the name of the row.
        numbers: whether the cells are numbers (aligned right) or words.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: bool = True


@dataclass(frozen=True)
class Section:
    """A part of a page: heading, paragraphs, table and pictures, in this order.

    Args:
        pictures: in as many columns as fit.
        pairs: two pictures per row.
        sheet: name of one contact sheet for all pictures; "" for a file each.
    """

    title: str
    text: Sequence[str] = ()
    table: Table | None = None
    pictures: Sequence[Picture] = ()
    pairs: bool = False
    sheet: str = ""


def write_page(path: Path, title: str, facts: Mapping[str, str], sections: Sequence[Section]) -> None:
    """Write the page; the file is whole or absent.

    Args:
        title: heading of the page.
        facts: below the heading, name and value: what the page is about and how it was made.

    Raises:
        InputError: the disk is full or the folder is not writable.
    """
    environment = Environment(
        loader=PackageLoader("cardpose", "evaluation/report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html").render(title=title, facts=facts, sections=sections)
    with replace_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")  # paths in other encodings


def image_files(sections: Iterable[Section]) -> dict[str, np.ndarray]:
    """The pictures of the sections by file name; those of a section with a `sheet` as one contact sheet."""
    images: dict[str, np.ndarray] = {}
    for section in sections:
        if section.sheet and section.pictures:
            pictures, captions = zip(*((p.image, p.caption) for p in section.pictures), strict=True)
            images[section.sheet] = contact_sheet(pictures, captions, columns=2 if section.pairs else 4)
        elif not section.sheet:
            images |= {picture.name: picture.image for picture in section.pictures if picture.name}
    return images
