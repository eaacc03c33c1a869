"""ONNX files in ONNX Runtime on the CPU."""

from pathlib import Path
from typing import TYPE_CHECKING

from cardpose.common.errors import InputError, first_line
from cardpose.common.threads import network_threads
from cardpose.models.onnx_weights import not_finite

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def open_session(path: str | Path, fix: str = "write one with cardpose.export") -> "InferenceSession":
    """Open an ONNX file.

    Args:
        fix: what to do where there is none, for the message.

    Raises:
        InputError: no such file, not a whole ONNX file, or weights that are not finite.
    """
    import onnxruntime

    if not Path(path).is_file():
        raise InputError(f"{path}: no such file: {fix}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = network_threads()
    options.log_severity_level = 4  # errors are reported below, in one line
    try:
        model = Path(path).read_bytes()  # the runtime opens no path that is not UTF-8
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        damaged = not_finite(model)
    except Exception as error:  # the runtime has a class of its own for each kind of damage
        reason = first_line(error)
        raise InputError(f"{path}: not a whole ONNX file ({reason}): export it again") from None
    if damaged is not None:
        raise InputError(f"{path}: weight {damaged} is not finite: use another model, or copy this one again")
    return session
