"""The network of a checkpoint in PyTorch, as a backend of a `Predictor`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cardpose.common.errors import InputError
from cardpose.common.packet import ModelOutput
from cardpose.models import checkpoints, metadata
from cardpose.models.from_config import load_end_to_end
from cardpose.prediction.backends import check_output


class TorchBackend:
    """The network of a checkpoint, `module`, and its "cardpose" entry, `described`.

    Args:
        device: a torch device, or "auto" for the GPU if there is one.
        config: in place of the checkpoint's own configuration.

    Raises:
        InputError: no such file, not a checkpoint of cardpose, or of another version.
    """

    def __init__(
        self, path: str | Path, device: str = "cpu", config: Mapping[str, Any] | None = None
    ) -> None:
        checkpoint = checkpoints.read(path)
        described = checkpoint[checkpoints.KEY]
        if config is not None:
            described = {**described, "config": config}
        self.described: dict[str, Any] = described
        self.module = load_end_to_end(checkpoint, path, config)
        try:
            height, width = described["config"]["data"]["size"]
            self.fusion = checkpoints.fusion(described)
        except (InputError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{path}: {error}: {metadata.OTHER_VERSION}") from error
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.module.to(device)
        self._device, self._path = device, path
        self.size = (height, width)
        self.interval = metadata.interval(described)
        self.field_of_view = metadata.field_of_view(described)

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> ModelOutput[np.ndarray]:
        """See `cardpose.prediction.backends.Backend`."""
        output = self.module(torch.from_numpy(images).to(self._device))
        arrays = ModelOutput(*(value.double().cpu().numpy() for value in output))
        check_output(arrays, len(images), self._path)
        return arrays
