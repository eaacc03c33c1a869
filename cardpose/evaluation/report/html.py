"""A page that opens from disk: one HTML file with its pictures inside, which loads nothing and runs no script."""

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
        name: of its file, without a suffix; "" for one that needs none.
        image: (H, W, 3) uint8 RGB.
        alt: what it shows, for those who cannot see it.
        caption: below it, lines parted by a newline; may be empty.
        kind: a drawing keeps every pixel, a photograph is compressed.
    """

    name: str
    image: np.ndarray
    alt: str
    caption: str = ""
    kind: Literal["drawing", "photograph"] = "drawing"

    @property
    def source(self) -> str:
        """The picture as an address that holds it."""
        suffix, media = {"drawing": (".png", "png"), "photograph": (".jpg", "jpeg")}[self.kind]
        return f"data:image/{media};base64,{b64encode(encode_image(self.image, suffix)).decode()}"


@dataclass(frozen=True)
class Table:
    """Rows under headings.

    Args:
        headings: one a column.
        rows: as many cells each; the first is the row's name.
        numbers: whether the cells are numbers, which end below each other, or words.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: bool = True


@dataclass(frozen=True)
class Section:
    """A part of a page: heading, paragraphs, table and pictures, in this order.

    Args:
        title: the heading.
        text: paragraphs.
        table: None for none.
        pictures: in as many columns as there is place for.
        pairs: two pictures a row, where there is place, that belong together.
        sheet: name of the one file into which the pictures go together; "" for a file each.
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
        path: of the file.
        title: its heading.
        facts: what the page is about and how it was made, below the title.
        sections: the rest.

    Raises:
        InputError: the disk is full or the folder may not be written to.
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
        temporary.write_text(page, encoding="utf-8")


def image_files(sections: Iterable[Section]) -> dict[str, np.ndarray]:
    """The pictures of the sections by the name of their file, those of a `sheet` on one contact sheet."""
    images: dict[str, np.ndarray] = {}
    for section in sections:
        if section.sheet and section.pictures:
            pictures, captions = zip(*((p.image, p.caption) for p in section.pictures), strict=True)
            images[section.sheet] = contact_sheet(pictures, captions, columns=2 if section.pairs else 4)
        elif not section.sheet:
            images |= {picture.name: picture.image for picture in section.pictures if picture.name}
    return images
