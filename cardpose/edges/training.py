"""Train the network of cardpose.edges on rendered strips: `python -m cardpose.edges.training [STEPS] [SEED] [OUT]`.

Renders and trains in one process and reads no footage. Then calibrates, on strips of other seeds, when to be sure.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cardpose.common.files import replace_file
from cardpose.common.packet import MAX_CARDS
from cardpose.edges.counting import FILE, MIN_PITCH, EdgeCounter
from cardpose.edges.network import EdgeNetwork
from cardpose.edges.rendering import KINDS, RenderedStrip, render_strip
from cardpose.edges.strips import COLUMNS, ROWS, Strip

BATCH, HEIGHT, WIDTH = 12, 144, 48
PEAK_ROWS = 0.9
"""Standard deviation of a mark across its line."""
RATE = 4e-3
SHOW = 100
CALIBRATION_SEED, CALIBRATION_STRIPS = 1_000, 800


def sample(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A strip (HEIGHT, WIDTH, 3) uint8 and its targets (2, HEIGHT, WIDTH / 2) float32."""
    kind = rng.choice(["packet", "book", "planks", "texture"], p=[0.86, 0.04, 0.07, 0.03])
    cards = int(rng.integers(1, 9) if rng.random() < 0.3 else rng.integers(1, 40))
    spare = HEIGHT / ROWS - cards
    top = rng.uniform(min(0.0, spare) - 3, max(0.0, spare) + 3) if rng.random() < 0.9 else 8.0
    strip = render_strip(rng, cards, HEIGHT, WIDTH, top, kind=str(kind))
    return strip.image, targets(strip.lines, HEIGHT)


def targets(lines: np.ndarray, rows: int) -> np.ndarray:
    """(2, rows, columns / 2) float32 of centre lines (n, columns): marks, and the inside of the packet."""
    between = (lines[:, ::2] + lines[:, 1::2]) / 2
    marks = np.zeros((2, rows, WIDTH // 2 if not len(lines) else between.shape[1]), np.float32)
    if len(lines):
        y = np.arange(rows)[:, None]
        for line in between:
            marks[0] = np.maximum(marks[0], np.exp(-(((y - line) / PEAK_ROWS) ** 2) / 2))
        half = (between[-1] - between[0]) / max(1, len(between) - 1) / 2 if len(between) > 1 else ROWS / 2
        marks[1] = (y > between[0] - half) & (y < between[-1] + half)
    return marks


def loss(logits: Tensor, marks: Tensor) -> Tensor:
    """Binary cross-entropy of the marks, those of lines weighted up, and of the inside."""
    lines = F.binary_cross_entropy_with_logits(logits[:, 0], marks[:, 0], pos_weight=logits.new_tensor(2.0))
    return lines + 0.5 * F.binary_cross_entropy_with_logits(logits[:, 1], marks[:, 1])


def train(steps: int, seed: int, start: EdgeNetwork | None = None) -> EdgeNetwork:
    """Train for so many steps, over which the rate falls to 0; `start` is trained further."""
    torch.manual_seed(seed)
    rng, network = np.random.default_rng(seed), start or EdgeNetwork()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=1e-3)
    mean, last = 0.0, [sample(rng) for _ in range(BATCH // 2)]
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, step / 50) * (1 + np.cos(np.pi * step / steps)) / 2
        # Rendering takes as long as the network: a strip is learned from twice, mirrored the second time.
        fresh = [sample(rng) for _ in range(BATCH // 2)]
        again = [(image[:, ::-1], marks[..., ::-1]) for image, marks in last]
        images, marks = (np.stack(part) for part in zip(*fresh, *again, strict=True))
        last = fresh
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(torch.from_numpy(images).permute(0, 3, 1, 2))
        value = loss(logits.float(), torch.from_numpy(marks))
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        mean += float(value.detach()) / SHOW
        if step % SHOW == 0:
            print(f"step {step} of {steps}: loss {mean:.4f}", flush=True)
            mean = 0.0
    return network.eval()


def held_out(seed: int, number: int) -> tuple[RenderedStrip, Strip, int]:
    """A whole strip that training does not see, as it would be cut out of a frame, and its count; 0: no packet."""
    rng = np.random.default_rng([seed, number])
    cards = int(rng.integers(1, 61) if rng.random() < 0.9 else rng.integers(61, MAX_CARDS + 1))
    kind = str(rng.choice(KINDS, p=[0.85, 0.05, 0.07, 0.03]))
    above, below = rng.uniform(5, 14, 2)
    rows = round((cards * rng.uniform(0.9, 1.1) + above + below) * ROWS)
    drawn = render_strip(rng, cards, max(rows, 4 * ROWS), COLUMNS, above, kind=kind)
    rows = drawn.image.shape[0]
    ends = np.array([above * ROWS, rows - below * ROWS])
    if kind == "packet":
        half = (drawn.lines[-1] - drawn.lines[0]).mean() / max(1, cards - 1) / 2 if cards > 1 else ROWS / 2
        whole = drawn.lines.min() - half >= 0 and drawn.lines.max() + half < rows
        if not whole:  # the packet is thicker than the strip: another one
            return held_out(seed + 1_000_003, number)
        ends = np.array([drawn.lines[0].mean() - half, drawn.lines[-1].mean() + half])
    strip = Strip(drawn.image, np.ones(COLUMNS, bool), drawn.pitch, ends)
    return drawn, strip, cards if kind == "packet" else 0


def calibrate(network: EdgeNetwork, seed: int, strips: int) -> np.ndarray:
    """Fit the probability that a strip's count is exact: (FEATURES + 1,)."""
    counter, rows, exact = EdgeCounter(network, None), [], []
    for number in range(strips):
        _, strip, cards = held_out(seed, number)
        reading = counter.read(strip)
        if reading and strip.pitch >= MIN_PITCH:
            rows.append([*reading.features, 1.0])
            exact.append(reading.cards == cards)
    return fit(np.array(rows), np.array(exact, float))


def fit(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Logistic regression of y (n,) on x (n, k), by Newton's method with a little ridge: (k,) weights."""
    weights = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ weights))
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 0.1 * np.eye(len(weights))
        weights += np.clip(np.linalg.solve(hessian, x.T @ (y - p) - 0.1 * weights), -2, 2)
    return weights


def save(network: EdgeNetwork, weights: np.ndarray | None, path: Path) -> None:
    """Write the network in half precision, and the calibration; None: without."""
    halves = {
        name: value.half() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    calibration = None if weights is None else torch.from_numpy(weights)
    with replace_file(path) as temporary:
        torch.save({"state_dict": halves, "calibration": calibration}, temporary)


def main(steps: int, seed: int, path: Path) -> None:
    """Train, and calibrate what was written, in the precision it was written in."""
    save(train(steps, seed), None, path)
    network = EdgeCounter.from_file(path).network
    save(network, calibrate(network, CALIBRATION_SEED + seed, CALIBRATION_STRIPS), path)


if __name__ == "__main__":
    words = sys.argv[1:]
    steps, seed = (int(word) for word in [*words[:2], *("3600", "0")[len(words) :]])
    main(steps, seed, Path(words[2]) if len(words) > 2 else FILE)
