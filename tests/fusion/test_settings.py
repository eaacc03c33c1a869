"""The settings of the fusion: one source in conf/, validated, and read from files of any version."""

from dataclasses import asdict, fields

import numpy as np
import pytest
from omegaconf import OmegaConf

from cardpose.common.errors import InputError
from cardpose.common.hydra_entry import CONF
from cardpose.fusion.clips import Flag, fuse
from cardpose.fusion.settings import LIMITS, FusionConfig


def test_conf_names_every_setting_and_has_the_values_of_files_without_them() -> None:
    assert OmegaConf.to_container(OmegaConf.load(CONF / "fusion" / "default.yaml")) == asdict(FusionConfig())
    assert LIMITS.keys() == {field.name for field in fields(FusionConfig)}


def test_settings_come_back_from_a_file() -> None:
    changed = FusionConfig(found=0.5, outlier_cards=2)
    assert FusionConfig.from_dict(asdict(changed)) == changed
    assert FusionConfig.from_dict(None) == FusionConfig()
    assert FusionConfig.from_dict({"found": 0.5}) == FusionConfig(found=0.5)


@pytest.mark.parametrize(
    ("stored", "line"),
    [
        ({"found": 2}, "fusion.found=2: choose a number from 0 to 1"),
        ({"border": "wide"}, "fusion.border=wide: choose a number from 0 to 0.5"),
        ({"border": None}, "fusion.border=None: choose a number from 0 to 0.5"),
        ({"outlier_cards": True}, "fusion.outlier_cards=True: choose a number from 0 to 1000"),
        ({"second_look": 2}, "fusion.second_look=2: choose a number from 0 to 1"),
        ({"min_cards_std": 0}, "fusion.min_cards_std=0: choose a number above 0, at most 100"),
        ({"tolerance": float("nan")}, "fusion.tolerance=nan: choose a number above 0, at most 1"),
        ({"misfit": 0.2}, "fusion.misfit: no such setting: choose found, tolerance, border, "),
    ],
)
def test_a_wrong_setting_is_one_line(stored: dict[str, object], line: str) -> None:
    with pytest.raises(InputError) as refused:
        FusionConfig.from_dict(stored)
    assert str(refused.value).startswith(line)
    assert "\n" not in str(refused.value)


def test_settings_change_the_fusion() -> None:
    cards, flags = np.array([20.0, 21.0, 22.0, 27.0]), np.zeros(4, int)
    strict, lenient = (
        fuse(cards, np.full(4, np.nan), flags, FusionConfig(outlier_deviations=1, outlier_cards=limit))
        for limit in (2, 10)
    )
    assert strict.flags.tolist() == [0, 0, 0, Flag.OUTLIER]
    assert lenient.frames_used == 4
