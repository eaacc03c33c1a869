"""Fit how the estimates of a count are weighed, and when to be sure, on rendered strips that training does not see."""

import numpy as np

from cardpose.common.packet import MAX_CARDS
from cardpose.edges.counting import CHOICE, MIN_PITCH, EdgeCounter, Evidence, choose
from cardpose.edges.levelling import Level, apply_level, find_level
from cardpose.edges.rendering import KINDS, RenderedStrip, render_strip
from cardpose.edges.strips import CARD_MM, COLUMNS, LEVEL_MM, NARROW, ROWS, Strip, reduce_columns
from cardpose.edges.tracing import Mark

SEED, STRIPS = 1_000, 500


def held_out(seed: int, number: int, style: str = "", least: float = 1.5) -> tuple[RenderedStrip, Strip, int]:
    """A whole strip that training does not see, as it would be cut out of a frame, and its count; 0: no packet.

    It is drawn four times as wide, tilted and bent as by corners that are off, and levelled again.

    Args:
        seed, number: of the strip.
        style: of `rendering.STYLES`; "": any, and what is no packet too.
        least: lowest pitch, source pixels a nominal card.
    """
    rng = np.random.default_rng([seed, number])
    cards = int(rng.integers(1, 61) if rng.random() < 0.9 else rng.integers(61, MAX_CARDS + 1))
    kind = "packet" if style else str(rng.choice(KINDS, p=[0.85, 0.05, 0.07, 0.03]))
    above, below = rng.uniform(6, 16, 2)
    pitch = float(np.exp(rng.uniform(np.log(least), np.log(13))))
    spare = LEVEL_MM / CARD_MM
    rows = 2 * round((cards * rng.uniform(0.9, 1.15) + above + below) * ROWS / 2) + 2 * round(spare * ROWS)
    drawn = render_strip(rng, cards, rows, COLUMNS * NARROW, above + spare, pitch, kind, style)
    # The packet begins below the margins that cards above it have; corners are off by four cards at each end, at most.
    first, last = (above + spare) * ROWS, rows - (below + spare) * ROWS
    x = np.linspace(-1, 1, COLUMNS * NARROW)
    tilts = rng.uniform(-1, 1) * 24 + rng.normal(0, 4, (2, 1))
    back = Level(np.array([first, last]), tilts * x + rng.normal(0, 3) * x**2)
    tilted = apply_level(drawn.image, back)
    level = find_level(tilted, np.array([first, last]))
    cut = round(spare * ROWS)
    image = reduce_columns(apply_level(tilted, level))[cut:-cut]
    lines = level.levelled(back.levelled(drawn.lines)) - cut
    rows = len(image)
    ends = np.array([above * ROWS, rows - below * ROWS])
    if kind == "packet":
        half = (lines[-1] - lines[0]).mean() / max(1, cards - 1) / 2 if cards > 1 else ROWS / 2
        if lines[0].mean() < half or lines[-1].mean() + half > rows:
            # The packet is thicker than the strip: another one.
            return held_out(seed + 1_000_003, number, style, least)
        ends = np.array([lines[0].mean() - half, lines[-1].mean() + half])
    drawn = drawn._replace(image=image, lines=lines.reshape(len(lines), COLUMNS, NARROW).mean(2))
    return drawn, Strip(image, np.ones(COLUMNS, bool), drawn.pitch, ends), cards if kind == "packet" else 0


def calibrate(mark: Mark, seed: int, strips: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights (CHOICE,) of the estimates, and (FEATURES + 1,) of the probability that the count is exact."""
    counter, found = EdgeCounter(mark), []
    for number in range(strips):
        _, strip, cards = held_out(seed, number, least=MIN_PITCH)
        evidence = counter.weigh(strip)
        if evidence:
            found.append((evidence, cards))
    return fit_all(found)


def fit_all(found: list[tuple[Evidence, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Both fits, of what strips say and their true counts; the second on choices that the first has not seen."""
    choice, halves = fit_choice(found), (found[::2], found[1::2])
    rows, exact = [], []
    for own, other in zip(halves, halves[::-1], strict=True):
        weights = fit_choice(other)
        for evidence, cards in own:
            reading = choose(evidence, weights)
            rows.append([*reading.features, 1.0])
            exact.append(reading.cards == cards)
    return choice, fit_sure(np.array(rows), np.array(exact, float))


def fit_choice(found: list[tuple[Evidence, int]]) -> np.ndarray:
    """Conditional logistic regression of the true count among the candidates, by Newton's method: (CHOICE,)."""
    known = [(e.choice, e.counts == cards) for e, cards in found if cards in e.counts]
    weights = np.zeros(CHOICE)
    for _ in range(30):
        slope, curve = -0.1 * weights, 0.1 * np.eye(CHOICE)
        for choice, true in known:
            odds = choice @ weights
            share = np.exp(odds - odds.max())
            share /= share.sum()
            mean = share @ choice
            slope = slope + choice[true][0] - mean
            curve = curve + (choice * share[:, None]).T @ choice - np.outer(mean, mean)
        weights = weights + np.clip(np.linalg.solve(curve, slope), -1, 1)
    return weights


def fit_sure(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Logistic regression of y (n,) on x (n, k), by Newton's method with a little ridge: (k,) weights."""
    weights = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ weights))
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 0.1 * np.eye(len(weights))
        weights += np.clip(np.linalg.solve(hessian, x.T @ (y - p) - 0.1 * weights), -2, 2)
    return weights
