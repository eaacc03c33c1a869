"""The graph of a trained network for other programs, and the metadata of a file that holds it."""

import io
import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from cardpose import __version__
from cardpose.common.packet import ModelOutput
from cardpose.geometry.letterbox import PAD_GREY
from cardpose.models import checkpoints
from cardpose.models.end_to_end import EndToEnd

INPUT = "image"
OUTPUTS = ModelOutput._fields
METADATA = "cardpose"
"""Key of the one JSON object in a file's metadata; "cardpose.json" in a torch.export program."""

LETTERBOX = (
    f"scale = min(H / h, W / w) keeps the aspect ratio; resize to max(1, round(h * scale)) x max(1, round(w * scale)), "
    f"by area when shrinking and bilinearly otherwise; centre it, offsets rounded down, on grey {PAD_GREY}"
)
BACK = (
    "a corner's x in the picture is (x + 0.5 - left) * w / inner - 0.5, left being the columns of grey at the left and "
    "inner the columns that the resized picture takes of the W; y likewise"
)


class ExportWrapper(nn.Module):
    """`EndToEnd` with the channels first, as other programs lay out images, and a plain tuple as `OUTPUTS`."""

    def __init__(self, module: EndToEnd) -> None:
        super().__init__()
        self.module = module

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) uint8 RGB -> see `ModelOutput`."""
        return tuple(self.module(image.permute(0, 2, 3, 1)))


def trace(module: EndToEnd, size: tuple[int, int]) -> ExportedProgram:
    """The graph for images of `size` (H, W) and any batch."""
    example = torch.zeros(2, 3, *size, dtype=torch.uint8)  # torch.export takes a batch of 1 for a constant
    return torch.export.export(
        ExportWrapper(module).eval(), (example,), dynamic_shapes={INPUT: {0: Dim("batch", min=1)}}
    )


def save_program(program: ExportedProgram, path: Path, about: Mapping[str, Any]) -> None:
    """Write a torch.export program (.pt2)."""
    buffer = io.BytesIO()  # torch aborts the process where it meets a full disk itself
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No complete tensor found")  # warning about channels-last weights
        torch.export.save(program, buffer, extra_files={f"{METADATA}.json": json.dumps(about)})
    path.write_bytes(buffer.getbuffer())


class ProgramBackend:
    """A file of `save_program`, on the CPU."""

    def __init__(self, path: str | Path) -> None:
        extra = {f"{METADATA}.json": ""}
        with Path(path).open("rb") as file:
            self._module = torch.export.load(file, extra_files=extra).module()
        self.about: dict[str, Any] = json.loads(extra[f"{METADATA}.json"])

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> ModelOutput[np.ndarray]:
        """(B, H, W, 3) uint8 RGB -> the outputs, float64."""
        outputs = self._module(torch.from_numpy(images).permute(0, 3, 1, 2))
        return ModelOutput(*(output.double().numpy() for output in outputs))


def describe(
    described: Mapping[str, Any], run: str, precision: str, libraries: Mapping[str, str]
) -> dict[str, Any]:
    """The metadata of an exported file, for JSON.

    Args:
        described: the checkpoint's "cardpose" entry.
        precision: of the network; corners, box and count are computed in float32 at any.
        libraries: versions of those that write the file, besides torch.
    """
    config = described["config"]
    height, width = config["data"]["size"]
    fusion = checkpoints.fusion(described)
    versions = {"cardpose": __version__, "torch": str(torch.__version__), **libraries}
    return {
        "size": [height, width],
        "input": f"{INPUT}: uint8 RGB (batch, 3, {height}, {width}), any batch; see letterbox",
        "outputs": {
            "corners": "(batch, 8, 2) x, y in pixels of the input image, integer = centre of a pixel; see keypoints",
            "confidence": f"(batch, 8) height of each heatmap's peak, 0 to 1; a corner is found above {fusion.found}",
            "visibility": "(batch, 8) probability that the corner is visible",
            "cards": "(batch,) estimated number of cards",
            "cards_std": "(batch,) its standard deviation in cards, NaN where the network does not estimate it",
        },
        "letterbox": {"grey": PAD_GREY, "rule": LETTERBOX, "back": BACK},
        "keypoints": list(described["keypoints"]),
        "cards": [1, described["max_cards"]],
        "calibration": described.get("calibration"),
        "interval": described.get("interval"),
        "fusion": asdict(fusion),
        "precision": precision,
        "run": run,
        "trained": {"git_commit": described["git_commit"], "versions": dict(described["versions"])},
        "exported": {"git_commit": checkpoints.git_commit(), "versions": versions},
    }
