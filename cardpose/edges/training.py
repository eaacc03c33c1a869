"""Train the network of cardpose.edges: `python -m cardpose.edges.training [STEPS] [SEED] [OUT] [START]`.

Renders strips and trains in one process and reads no footage; START is a file to train further. Then calibrates, on
strips of other seeds, when to be sure. `python -m cardpose.deploy.release_edges` makes of it the file that counts.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cardpose.common.errors import InputError
from cardpose.common.files import replace_file
from cardpose.edges.calibration import SEED, STRIPS, calibrate
from cardpose.edges.network import EdgeNetwork, marker
from cardpose.edges.path_loss import path_loss
from cardpose.edges.rendering import KINDS, render_strip
from cardpose.edges.strips import COLUMNS, ROWS
from cardpose.edges.tracing import INSIDE, LINE, RATE, STRIDE
from cardpose.models.checkpoints import load_safely
from cardpose.models.released import ZOO

FILE = ZOO / "edges.pt"
FITS = ("choice", "calibration")
"""Keys of the two fits of `calibration.calibrate` in a file."""

FRESH, AGAIN, HEIGHT = 6, 10, 192
"""New strips and known ones of a step, and their rows."""
KNOWN = 2000
"""Strips that are kept, to learn from them again."""
PEAK_ROWS = 0.9
"""Standard deviation of a mark across its line."""
RATE_STEP = 4e-3
PATH = 4.0
"""Weight of the path loss."""
SHOW = 100
KNOWN_RATE, ROW = 3, 4
"""Targets after those of `cardpose.edges.tracing`: where the period is known, and the rows of the lines."""
_AROUND = 5  # cards over which the local period is averaged


def sample(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A strip (HEIGHT, COLUMNS, 3) float32 and its targets (5, HEIGHT, COLUMNS / STRIDE) float32."""
    kind = rng.choice(KINDS, p=[0.86, 0.04, 0.07, 0.03])
    cards = int(rng.integers(1, 9) if rng.random() < 0.25 else rng.integers(1, 50))
    spare = HEIGHT / ROWS - cards
    top = rng.uniform(min(0.0, spare) - 3, max(0.0, spare) + 3)
    pitch = float(np.exp(rng.uniform(np.log(2.0), np.log(13))))
    strip = render_strip(rng, cards, HEIGHT, COLUMNS, top, pitch, str(kind))
    return strip.image, targets(strip.lines, strip.clear, HEIGHT)


def targets(lines: np.ndarray, clear: np.ndarray, rows: int) -> np.ndarray:
    """Targets of the network for centre lines (n, columns), of which the columns `clear` (columns,) are visible.

    Returns:
        (5, rows, columns / STRIDE) float32: marks, the inside of the packet, the logarithm of the cards a nominal
        card's height, where that is known, and 1 in the row of each line.
    """
    groups = len(clear) // STRIDE
    marks = np.zeros((5, rows, groups), np.float32)
    if not len(lines):
        return marks
    own = clear.reshape(groups, STRIDE).mean(1) > 0.5
    lines = lines.reshape(len(lines), groups, STRIDE).mean(2)
    y = np.arange(rows, dtype=np.float32)[:, None]
    for line in lines:
        marks[LINE] = np.maximum(marks[LINE], np.exp(-(((y - line) / PEAK_ROWS) ** 2) / 2))
        marks[ROW] = np.maximum(marks[ROW], y == np.round(line))
    half = (lines[-1] - lines[0]) / max(1, len(lines) - 1) / 2 if len(lines) > 1 else ROWS / 2
    marks[INSIDE] = (y > lines[0] - half) & (y < lines[-1] + half)
    if len(lines) > 2:
        wide = min(_AROUND, len(lines) - 1)
        steps = (lines[wide:] - lines[:-wide]) / wide
        middles = (lines[wide:] + lines[:-wide]) / 2
        for column in range(groups):
            marks[RATE, :, column] = np.log(ROWS / np.interp(y[:, 0], middles[:, column], steps[:, column]))
        marks[KNOWN_RATE] = marks[INSIDE]
    return marks * own


def loss(outputs: Tensor, marks: Tensor) -> Tensor:
    """Of outputs (B, 3, rows, columns) against targets (B, 5, rows, columns).

    Binary cross-entropy of the marks, those of lines weighted up, and of the inside; the absolute error of the rate,
    and of the count that is its integral over the inside; `path_loss` of half of the columns.
    """
    weight = outputs.new_tensor(2.0)
    lines = F.binary_cross_entropy_with_logits(outputs[:, LINE], marks[:, LINE], pos_weight=weight)
    inside = F.binary_cross_entropy_with_logits(outputs[:, INSIDE], marks[:, INSIDE])
    known = marks[:, KNOWN_RATE]
    rate = ((outputs[:, RATE] - marks[:, RATE]).abs() * known).sum() / known.sum().clamp(min=1)
    cards = (outputs[:, INSIDE].sigmoid() * outputs[:, RATE].clamp(-1, 1).exp()).sum(1) / ROWS
    truth = (marks[:, INSIDE] * marks[:, RATE].exp()).sum(1) / ROWS
    columns = (known.amax(1) > 0).float()
    count = ((cards - truth).abs() * columns).sum() / columns.sum().clamp(min=1)
    some = torch.randperm(marks.shape[-1])[: marks.shape[-1] // 2]
    scores = outputs[..., some].permute(1, 2, 0, 3).flatten(2)
    chain = path_loss(
        scores[LINE], scores[INSIDE], scores[RATE], marks[:, ROW][..., some].transpose(0, 1).flatten(1)
    )
    return lines + 0.5 * inside + 0.5 * rate + 0.02 * count + PATH * chain.mean()


def train(steps: int, seed: int, start: EdgeNetwork | None = None) -> EdgeNetwork:
    """Train for so many steps, over which the rate falls to 0; `start` is trained further."""
    torch.manual_seed(seed)
    rng, network = np.random.default_rng(seed), start or EdgeNetwork()
    optimizer = torch.optim.AdamW(network.parameters(), RATE_STEP, weight_decay=1e-3)
    mean, known = 0.0, [sample(rng) for _ in range(AGAIN)]
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = RATE_STEP * min(1.0, step / 50) * (1 + np.cos(np.pi * step / steps)) / 2
        # Rendering takes as long as learning: a strip is learned from again, mirrored and with other colours.
        fresh = [sample(rng) for _ in range(FRESH)]
        again = [_mirrored(rng, *known[index]) for index in rng.integers(0, len(known), AGAIN)]
        known = (fresh + known)[:KNOWN]
        images, marks = (np.stack(part) for part in zip(*fresh, *again, strict=True))
        strips = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
        with torch.autocast("cpu", torch.bfloat16):
            outputs = network(strips)
        value = loss(outputs.float(), torch.from_numpy(marks))
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


def load(path: Path) -> tuple[EdgeNetwork, dict[str, list[float]]]:
    """The network of a file of `save`, and its calibration, empty before there is one.

    Raises:
        InputError: no such file, or not one of `save`.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file: run python -m cardpose.edges.training")
    held, network = load_safely(path), EdgeNetwork()
    try:
        network.load_state_dict(held["state_dict"])
        fits = {name: held[name].tolist() for name in FITS if held[name] is not None}
    except (KeyError, TypeError, AttributeError, RuntimeError):
        raise InputError(
            f"{path}: not a counter of edges of this version: run python -m cardpose.edges.training"
        ) from None
    return network.eval(), fits


def main(steps: int, seed: int, path: Path, start: Path | None = None) -> None:
    """Train, from `start` on, and calibrate what was written, in the precision it was written in."""
    first = load(start)[0].train() if start else None
    save(train(steps, seed, first), None, path)
    network = load(path)[0]
    save(network, calibrate(marker(network), SEED + seed, STRIPS), path)


if __name__ == "__main__":
    words = sys.argv[1:]
    steps, seed = (int(word) for word in [*words[:2], *("5700", "0")[len(words) :]])
    paths = [Path(word) for word in words[2:4]]
    main(steps, seed, *paths) if paths else main(steps, seed, FILE)
