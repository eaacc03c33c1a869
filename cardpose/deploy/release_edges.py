"""Export the counter of edges: `python -m cardpose.deploy.release_edges [CHECKPOINT] [OUT]`.

Makes cardpose/zoo/edges.onnx, which counts without torch, of cardpose/zoo/edges.pt of `cardpose.edges.training`.
"""

import sys
from pathlib import Path

import torch
from torch.export import Dim

from cardpose.common.errors import InputError
from cardpose.common.exits import one_line_errors
from cardpose.common.files import replace_file
from cardpose.deploy import onnx_model
from cardpose.edges import counting, training
from cardpose.edges.strips import COLUMNS, ROWS


def main(path: Path, out: Path) -> None:
    """Write `out`; prints its size."""
    onnx_model.require()
    network, fits = training.load(path)
    if not fits:
        raise InputError(f"{path}: is not calibrated: run python -m cardpose.edges.training")
    pairs = Dim("pairs", min=2 * ROWS)
    strip = torch.zeros(1, 3, 40 * ROWS, COLUMNS)
    program = torch.export.export(network, (strip,), dynamic_shapes=({2: 2 * pairs},))
    with replace_file(out) as temporary:
        onnx_model.write(program, temporary, fits, "float32", [], True, ("strip", ["marks"]))
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    words = [Path(word) for word in sys.argv[1:]]
    with one_line_errors("cardpose.deploy.release_edges"):
        main(*[*words, *(training.FILE, counting.FILE)[len(words) :]])
