"""cardpose models: every released model with its scores."""

from in_process import Command

import cardpose.models
from cardpose.models.released import DEFAULT, RELEASED


def test_the_table_has_every_model_and_its_scores(in_process: Command) -> None:
    done = in_process(cardpose.models.main)
    assert (done.code, done.err) == (0, "")
    words = " ".join(done.out.split())
    found = cardpose.models.models()
    assert [model.name for model in found] == list(RELEASED)
    assert DEFAULT in RELEASED
    for model in found:
        assert f"{model.name}: " in words
        assert f"{model.card['scores']['published']['corner_px_median']:.2f}" in words
