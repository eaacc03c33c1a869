"""Measure the counter on rendered strips that it has not seen: `python -m cardpose.edges.measure [STRIPS] [SEED]`.

Prints the tables of docs/exact_count.md: exactness by pitch, blur and wear, beside the classical counters, which are
given where the packet ends.
"""

import sys
from itertools import pairwise

import numpy as np

from cardpose.edges.calibration import held_out
from cardpose.edges.classical import COUNTERS
from cardpose.edges.counting import EdgeCounter
from cardpose.edges.rendering import STYLES
from cardpose.fusion.edge_votes import SURE

PITCH = (1.5, 2.5, 3.0, 4.0, 6.0, 13.0)
BLUR = (0.0, 0.5, 0.8, 2.0)
WEAR = (0.0, 0.3, 0.6, 1.0)


def rows(strips: int, seed: int) -> dict[str, np.ndarray]:
    """Columns of the measurement, (strips,) each: the truth, each counter's error, and what was drawn."""
    counter, table = EdgeCounter.from_file(), []
    for number in range(strips):
        drawn, strip, cards = held_out(seed, number)
        reading = counter.read(strip)
        row = {"true": cards, "pitch": drawn.pitch, "blur": drawn.blur, "wear": drawn.wear}
        row["edges"] = reading.cards - cards if reading else -cards if cards else 0
        row["probability"] = counter.probability(reading) if reading else 0.0
        row |= {name: count(strip.image, strip.ends) - cards for name, count in COUNTERS.items()}
        table.append(row)
    return {name: np.array([row[name] for row in table], float) for name in table[0]}


def print_styles(strips: int, seed: int) -> None:
    """Errors of loose, pressed, leaning and dirty packets beside square clean ones, from 4 pixels a card on."""
    counter = EdgeCounter.from_file()
    print("| packet | strips | exact / within 1 | mean error | sure | exact |")
    print("| --- " * 6 + "|")
    for style in STYLES:
        errors, sure = [], []
        for number in range(strips):
            _, strip, cards = held_out(seed, number, style, least=4.0)
            reading = counter.read(strip)
            errors.append(reading.cards - cards if reading else -cards)
            sure.append(reading is not None and counter.probability(reading) > SURE)
        own, called = np.array(errors), np.array(sure)
        cells = [
            f"{style} | {strips} | {share(own, 0)} / {share(own, 1)} | {np.abs(own).mean():.2f}",
            f"{100 * called.mean():.0f} % | {share(own[called], 0)}",
        ]
        print(f"| {' | '.join(cells)} |")


def print_table(columns: dict[str, np.ndarray], by: str, borders: tuple[float, ...]) -> None:
    """A row a range: shares exact and within one card, and what is called sure."""
    names = ["edges", *COUNTERS]
    print(
        f"| {by} | strips | "
        + " | ".join(f"{name}: exact / within 1" for name in names)
        + " | sure | exact |"
    )
    print("| --- " * (len(names) + 4) + "|")
    packets = columns["true"] > 0
    for low, high in pairwise(borders):
        own = packets & (columns[by] >= low) & (columns[by] < high)
        if by != "pitch":
            own &= columns["pitch"] >= 4
        if not own.any():
            continue
        shares = [f"{share(columns[n][own], 0)} / {share(columns[n][own], 1)}" for n in names]
        sure = own & (columns["probability"] > SURE)
        cells = [
            f"{low:g} to {high:g}",
            str(own.sum()),
            *shares,
            f"{100 * sure.sum() / own.sum():.0f} %",
            share(columns["edges"][sure], 0),
        ]
        print(f"| {' | '.join(cells)} |")


def share(errors: np.ndarray, most: int) -> str:
    """The percentage of errors (n,), in cards, that round to at most `most`; "-" of none."""
    return f"{100 * np.mean(np.abs(errors) < most + 0.5):.0f} %" if len(errors) else "-"


def main(strips: int, seed: int) -> None:
    """Print all tables; that of the styles with an eighth of the strips for each."""
    columns = rows(strips, seed)
    for by, borders in (("pitch", PITCH), ("blur", BLUR), ("wear", WEAR)):
        print_table(columns, by, borders)
        print("")
    print_styles(max(1, strips // 8), seed + 1)
    print("")
    none = columns["true"] == 0
    print(
        f"no packet: {none.sum()} strips, {100 * np.mean(columns['probability'][none] > SURE):.1f} % called sure"
    )


if __name__ == "__main__":
    main(*(int(word) for word in [*sys.argv[1:], "1000", "7000"][:2]))
