"""The released models and what is known of them: `cardpose models`."""

import json
from typing import Any, NamedTuple

from cardpose.common.command_line import Tool, checked
from cardpose.common.scores import score_of
from cardpose.models.released import DEFAULT, RELEASED, ZOO

CARD = "models.json"
"""The file in cardpose/zoo that `cardpose.deploy.release` writes: for each model how it was made, and its scores."""

SCORES = ("corner_px_median", "visibility_f1", "card_mae", "card_mae_video")
"""Scores of a card, keys of metrics.json without the stage."""


class Released(NamedTuple):
    """A released model.

    Args:
        name: as `--model` takes it.
        description: what it is for.
        megabytes: of its file.
        card: `commit`, `images` it was trained on, and `scores`: footage -> score of metrics.json -> value.
    """

    name: str
    description: str
    megabytes: float
    card: dict[str, Any]


@checked
def models() -> list[Released]:
    """List the released models, which every command takes by name.

        cardpose models
        cardpose predict my.mp4 --model packet-fast

    Returns:
        The models.
    """
    cards = json.loads((ZOO / CARD).read_text())
    return [
        Released(name, text, (ZOO / f"{name}.ckpt").stat().st_size / 1e6, cards[name])
        for name, text in RELEASED.items()
    ]


def show(found: list[Released]) -> None:
    """Print one table for all models."""
    from rich.console import Console
    from rich.table import Table

    table = Table(
        "model", "footage", "score", "value", title="Released models; never trained on this footage"
    )
    for model in found:
        default = ", the default" if model.name == DEFAULT else ""
        first = f"{model.name}: {model.description}, {model.megabytes:.1f} MB{default}"
        for footage, scores in model.card["scores"].items():
            for key, value in scores.items():
                score = score_of(key)
                table.add_row(first, footage, score.title, score.text(value))
                first = ""
    Console().print(table)


main = Tool(models, show)
