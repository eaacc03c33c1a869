"""Every score that a test or a validation computes: how it is named, written and compared.

Adding a new score: compute it in `frame_metrics` (or `visibility`) under a key, and add its row to `SCORES`. Reports,
comparisons, progress lines, sweeps and TensorBoard take name, unit, format and direction from here.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

VARIANTS = {
    "": "per frame",
    "_video": "per video",
    "_constant": "constant, per frame",
    "_video_constant": "constant, per video",
}
"""Suffix of a count score's key -> what it is a mean over. Constant: of the predictor of one constant count."""


@dataclass(frozen=True)
class Score:
    """One score.

    Args:
        key: in metrics.json, without the stage ("val/", "test/").
        label: name for a reader.
        unit: cards or px (pixels of the source frame); empty for shares and coefficients.
        format: format string of a value.
        better: which of two values is better: the lower, the higher, the one closer to 0, or neither.
        per: what the score is a mean over; "both": over frames and over videos, with all `VARIANTS`.
        short: heading in a narrow table, empty for a score that none has.
    """

    key: str
    label: str
    unit: str
    format: str
    better: Literal["lower", "higher", "closer to 0", "neither"]
    per: Literal["frame", "video", "both"] = "frame"
    short: str = ""

    @property
    def title(self) -> str:
        """Label and unit."""
        return f"{self.label}, {self.unit}" if self.unit else self.label

    def text(self, value: float) -> str:
        """The value as it is written in tables; empty for NaN."""
        return "" if math.isnan(value) else self.format.format(value)

    def difference(self, value: float) -> str:
        """The difference of two values, with its sign; empty for NaN."""
        # z: no minus before a difference that is rounded to 0
        return "" if math.isnan(value) else self.format.replace("+", "").replace("{:", "{:+z").format(value)

    def sentence(self, value: float) -> str:
        """Label, value and unit."""
        return f"{self.label} {self.text(value)} {self.unit}".rstrip()

    def better_of(self, a: float, b: float) -> str:
        """ "a" or "b", whichever is better; empty where they are equal, one is NaN, or the score has no direction.

        >>> SCORES["card_mae"].better_of(2.0, 1.5), SCORES["pck_5"].better_of(0.9, 0.8)
        ('b', 'a')
        """
        gain = {"lower": a - b, "higher": b - a, "closer to 0": abs(a) - abs(b), "neither": 0.0}[self.better]
        if math.isnan(gain) or gain == 0:
            return ""
        return "b" if gain > 0 else "a"


SCORES: Mapping[str, Score] = {
    score.key: score
    for score in (
        Score("card_mae", "card error (MAE)", "cards", "{:.2f}", "lower", per="both", short="card error"),
        Score("card_rmse", "card error (RMSE)", "cards", "{:.2f}", "lower", per="both"),
        Score("card_within_1", "within 1 card", "", "{:.1%}", "higher", per="both", short="within 1"),
        Score("card_within_2", "within 2 cards", "", "{:.1%}", "higher", per="both"),
        Score("interval_coverage", "90 % interval, coverage", "", "{:.1%}", "neither", "video", "90 % holds"),
        Score("interval_width", "90 % interval, width", "cards", "{:.2f}", "neither", "video", "90 % wide"),
        Score("corner_px_median", "median corner error", "px", "{:.2f}", "lower", short="corner px"),
        Score("corner_px_mean", "mean corner error", "px", "{:.2f}", "lower"),
        Score("pck_5", "corners found (PCK 5 %)", "", "{:.1%}", "higher", short="PCK 5 %"),
        Score("thickness_px_mae", "thickness error (MAE)", "px", "{:.2f}", "lower"),
        Score("thickness_px_bias", "thickness bias", "px", "{:+.2f}", "closer to 0"),
        Score("visibility_accuracy", "visibility accuracy", "", "{:.1%}", "higher"),
        Score("visibility_f1", "visibility F1", "", "{:.3f}", "higher", short="visib. F1"),
        Score("visibility_auroc", "visibility AUROC", "", "{:.3f}", "higher"),
        Score("visibility_ece", "visibility calibration error", "", "{:.3f}", "lower"),
    )
}
"""By key, in the order of the tables."""

OBJECTIVE = "val/card_mae"
"""Score by which settings are ranked and which a search minimises: of the validation set, never of the test set."""


def score_of(key: str) -> Score:
    """The score of a key of metrics.json; its label names the variant.

    Args:
        key: with or without a stage, such as test/card_mae_video.

    Raises:
        KeyError: no such score (losses are none).

    >>> score_of("test/card_mae_video").title, score_of("val/pck_5").text(0.875)
    ('card error (MAE), per video, cards', '87.5%')
    """
    name = key.rpartition("/")[2]
    for suffix in sorted(VARIANTS, key=len, reverse=True):
        score = SCORES.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
        if score and not suffix:
            return score
        if score and score.per == "both":
            short = f"{score.short}{suffix.replace('_', ' ').replace('constant', 'const.')}"
            return replace(score, key=name, label=f"{score.label}, {VARIANTS[suffix]}", short=short)
    raise KeyError(key)


def every_score() -> Iterator[Score]:
    """`SCORES` in order, those of the count once per frame and once per video, each with its own key and label.

    >>> [score.key for score in every_score()][:3]
    ['card_mae', 'card_mae_video', 'card_rmse']
    """
    for score in SCORES.values():
        if score.per == "both":
            yield replace(score, label=f"{score.label}, {VARIANTS['']}")
            yield score_of(f"{score.key}_video")
        else:
            yield score


FEW_STEPS, FEW_VIDEOS = 1000, 10
"""A training below these rarely learns to count."""


def worse_than_constant(metrics: Mapping[str, float], steps: int, videos: int, init_from: str | None) -> str:
    """A sentence about a model whose count is worse than always the same one, with the likely cause; "" for any other.

    Args:
        metrics: by the keys of metrics.json, test/...
        steps: optimizer steps of its training.
        videos: number of training videos.
        init_from: the weights that it started from.

    >>> worse_than_constant({"test/card_mae": 14.0, "test/card_mae_constant": 12.0}, 60, 30, None)
    "The count is worse than the constant predictor's, 14.00 to 12.00 cards off, likely after too few steps (60)."
    """
    own, constant = (metrics.get(f"test/card_mae{variant}", math.nan) for variant in ("", "_constant"))
    if not own > constant:
        return ""
    causes = [
        *([f"after too few steps ({steps})"] if steps < FEW_STEPS else []),
        *([f"for too few training videos ({videos})"] if videos < FEW_VIDEOS else []),
        *([f"for footage far from that of the weights it started from ({init_from})"] if init_from else []),
    ]
    return (
        f"The count is worse than the constant predictor's, {own:.2f} to {constant:.2f} cards off, likely "
        f"{' or '.join(causes) or 'for footage unlike that of the training'}."
    )
