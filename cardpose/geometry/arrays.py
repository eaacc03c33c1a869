"""One implementation for numpy and torch: the functions that both libraries have under the same name.

numpy answers for single frames without the seconds that torch takes to load; torch is needed where a network is
trained or exported. Of a namespace only what both understand alike is used, with axes given by position.
"""

from typing import Any

import numpy as np

from cardpose.common.packet import Array


def namespace(array: Array) -> Any:
    """The module whose functions take this array: numpy or torch."""
    if isinstance(array, np.ndarray):
        return np
    import torch

    return torch


def constant(values: Any, like: Array) -> Array:
    """`values` (a number, nested lists, an array of numpy or of the kind of `like`) as an array like `like`."""
    if isinstance(like, np.ndarray):
        return np.asarray(values, like.dtype)
    import torch

    return torch.as_tensor(values, dtype=like.dtype, device=like.device)
