"""cardpose models: every released model with its scores."""

from pathlib import Path

from in_process import Command

import cardpose.models
from cardpose.models import checkpoints
from cardpose.models.released import DEFAULT, RELEASED, find_checkpoint
from cardpose.training.testing import config_for_test, make_split


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


def test_a_released_model_is_tested_on_a_sample_of_its_footage_and_not_on_all_of_it() -> None:
    path = find_checkpoint("packet-fast")
    checkpoint = checkpoints.read(path)
    config = config_for_test(checkpoint, path)
    footage, trained = (c["data"]["read"]["footage"] for c in (config, checkpoint["cardpose"]["config"]))
    assert footage["clips"] == 104 < trained["clips"]
    assert footage["seed"] != trained["seed"]
    assert footage["scene"] == trained["scene"]
    assert config["data"]["root"] != checkpoint["cardpose"]["config"]["data"]["root"]
    make_split(config, checkpoint, path)  # every frame is a test frame: the stored split names other clips
    assert "all_test" in config["split"]["_target_"]


def test_other_footage_is_taken_as_it_is_and_a_calibrated_copy_has_the_same_sample(tmp_path: Path) -> None:
    path = find_checkpoint("packet-fast")
    checkpoint = checkpoints.read(path)
    copy = config_for_test(checkpoint, tmp_path / "calibrated.ckpt")
    assert copy == config_for_test(checkpoint, path)
    assert config_for_test(checkpoint, path, data=tmp_path)["data"]["root"] == str(tmp_path)
