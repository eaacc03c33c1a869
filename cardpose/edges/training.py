"""Train the network of cardpose.edges: `python -m cardpose.edges.training [STEPS] [SEED] [OUT] [START]`.

Renders strips and trains in one process and reads no footage; START is a file to train further. Then calibrates, on
strips of other seeds, when to be sure.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cardpose.common.files import replace_file
from cardpose.edges.calibration import SEED, STRIPS, calibrate
from cardpose.edges.counting import FILE, EdgeCounter
from cardpose.edges.network import INSIDE, LINE, RATE, STRIDE, EdgeNetwork
from cardpose.edges.rendering import KINDS, render_strip
from cardpose.edges.strips import COLUMNS, ROWS

BATCH, HEIGHT = 12, 192
PEAK_ROWS = 0.9
"""Standard deviation of a mark across its line."""
RATE_STEP = 4e-3
SHOW = 100
_AROUND = 5  # cards over which the local period is averaged


def sample(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A strip (HEIGHT, COLUMNS, 3) float32 and its targets (4, HEIGHT, COLUMNS / STRIDE) float32."""
    kind = rng.choice(KINDS, p=[0.86, 0.04, 0.07, 0.03])
    cards = int(rng.integers(1, 9) if rng.random() < 0.25 else rng.integers(1, 50))
    spare = HEIGHT / ROWS - cards
    top = rng.uniform(min(0.0, spare) - 3, max(0.0, spare) + 3)
    pitch = float(np.exp(rng.uniform(np.log(2.0), np.log(13))))
    strip = render_strip(rng, cards, HEIGHT, COLUMNS, top, pitch, str(kind))
    return strip.image, targets(strip.lines, strip.clear, HEIGHT)


def targets(lines: np.ndarray, clear: np.ndarray, rows: int) -> np.ndarray:
    """What the network should say of centre lines (n, columns), of which the columns `clear` (columns,) are visible.

    Returns:
        (4, rows, columns / STRIDE) float32: marks, the inside of the packet, the logarithm of the cards a nominal
        card's height, and where that is known.
    """
    groups = len(clear) // STRIDE
    marks = np.zeros((4, rows, groups), np.float32)
    if not len(lines):
        return marks
    own = clear.reshape(groups, STRIDE).mean(1) > 0.5
    lines = lines.reshape(len(lines), groups, STRIDE).mean(2)
    y = np.arange(rows, dtype=np.float32)[:, None]
    for line in lines:
        marks[LINE] = np.maximum(marks[LINE], np.exp(-(((y - line) / PEAK_ROWS) ** 2) / 2))
    half = (lines[-1] - lines[0]) / max(1, len(lines) - 1) / 2 if len(lines) > 1 else ROWS / 2
    marks[INSIDE] = (y > lines[0] - half) & (y < lines[-1] + half)
    if len(lines) > 2:
        wide = min(_AROUND, len(lines) - 1)
        steps = (lines[wide:] - lines[:-wide]) / wide
        middles = (lines[wide:] + lines[:-wide]) / 2
        for column in range(groups):
            marks[RATE, :, column] = np.log(ROWS / np.interp(y[:, 0], middles[:, column], steps[:, column]))
        marks[3] = marks[INSIDE]
    return marks * own


def loss(outputs: Tensor, marks: Tensor) -> Tensor:
    """Of outputs (B, 3, rows, columns) against targets (B, 4, rows, columns).

    Binary cross-entropy of the marks, those of lines weighted up, and of the inside; the absolute error of the rate,
    and of the count that is its integral over the inside.
    """
    weight = outputs.new_tensor(2.0)
    lines = F.binary_cross_entropy_with_logits(outputs[:, LINE], marks[:, LINE], pos_weight=weight)
    inside = F.binary_cross_entropy_with_logits(outputs[:, INSIDE], marks[:, INSIDE])
    rate = ((outputs[:, RATE] - marks[:, RATE]).abs() * marks[:, 3]).sum() / marks[:, 3].sum().clamp(min=1)
    cards = (outputs[:, INSIDE].sigmoid() * outputs[:, RATE].clamp(-1, 1).exp()).sum(1) / ROWS
    truth = (marks[:, INSIDE] * marks[:, RATE].exp()).sum(1) / ROWS
    known = (marks[:, 3].amax(1) > 0).float()
    count = ((cards - truth).abs() * known).sum() / known.sum().clamp(min=1)
    return lines + 0.5 * inside + 0.5 * rate + 0.02 * count


def train(steps: int, seed: int, start: EdgeNetwork | None = None) -> EdgeNetwork:
    """Train for so many steps, over which the rate falls to 0; `start` is trained further."""
    torch.manual_seed(seed)
    rng, network = np.random.default_rng(seed), start or EdgeNetwork()
    optimizer = torch.optim.AdamW(network.parameters(), RATE_STEP, weight_decay=1e-3)
    mean, last = 0.0, [sample(rng) for _ in range(BATCH // 2)]
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = RATE_STEP * min(1.0, step / 50) * (1 + np.cos(np.pi * step / steps)) / 2
        # Rendering takes half as long as the network: a strip is learned from twice, mirrored the second time.
        fresh = [sample(rng) for _ in range(BATCH // 2)]
        again = [_mirrored(rng, *pair) for pair in last]
        images, marks = (np.stack(part) for part in zip(*fresh, *again, strict=True))
        last = fresh
        value = loss(
            network(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()), torch.from_numpy(marks)
        )
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        mean += float(value.detach()) / SHOW
        if step % SHOW == 0:
            print(f"step {step} of {steps}: loss {mean:.4f}", flush=True)
            mean = 0.0
    return network.eval()


def _mirrored(
    rng: np.random.Generator, image: np.ndarray, marks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A strip seen again: mirrored, at times upside down, or with its colours exchanged or inverted."""
    image, marks = image[:, ::-1], marks[..., ::-1]
    if rng.random() < 0.2:
        image, marks = image[::-1], marks[:, ::-1]
    if rng.random() < 0.3:
        image = image[..., rng.permutation(3)]
    return (255 - image if rng.random() < 0.1 else image), marks


def save(network: EdgeNetwork, fits: tuple[np.ndarray, np.ndarray] | None, path: Path) -> None:
    """Write the network in half precision, and the two fits of its calibration; None: without."""
    halves = {
        name: value.half() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    choice, calibration = (torch.from_numpy(part) for part in fits) if fits else (None, None)
    with replace_file(path) as temporary:
        torch.save({"state_dict": halves, "choice": choice, "calibration": calibration}, temporary)


def main(steps: int, seed: int, path: Path, start: Path | None = None) -> None:
    """Train, from `start` on, and calibrate what was written, in the precision it was written in."""
    first = EdgeCounter.from_file(start).network.train() if start else None
    save(train(steps, seed, first), None, path)
    network = EdgeCounter.from_file(path).network
    save(network, calibrate(network, SEED + seed, STRIPS), path)


if __name__ == "__main__":
    words = sys.argv[1:]
    steps, seed = (int(word) for word in [*words[:2], *("5700", "0")[len(words) :]])
    paths = [Path(word) for word in words[2:4]]
    main(steps, seed, *paths) if paths else main(steps, seed, FILE)
