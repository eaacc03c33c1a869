"""ONNX files, by the libraries of the extra "onnx": conversion, lower precision, writing."""

import json
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram

from cardpose.common.errors import needs_extra
from cardpose.common.files import replace_file, scratch_folder
from cardpose.deploy.graph import INPUT, METADATA, OUTPUTS, describe, trace
from cardpose.prediction.torch_backend import TorchBackend

OPSET = 18
PRECISIONS = ("float32", "float16", "int8")
QUANTIZED = ("Conv", "Relu", "Clip", "Concat", "Resize")
"""Operators that are quantised; for others the values would be converted to float and back."""

SMALLEST = 64
"""Elements of a constant from which half precision saves more than its cast takes."""


def require() -> dict[str, str]:
    """Versions of the libraries.

    Raises:
        InputError: one of them is not installed.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript
    except ImportError:
        raise needs_extra("format=onnx", "onnx") from None
    libraries = {"onnx": onnx, "onnxruntime": onnxruntime, "onnxscript": onnxscript}
    return {name: library.__version__ for name, library in libraries.items()}


def write(
    program: ExportedProgram,
    path: Path,
    about: Mapping[str, Any],
    precision: str,
    images: Iterable[np.ndarray],
    compact: bool = False,
    names: tuple[str, Sequence[str]] = (INPUT, OUTPUTS),
) -> None:
    """Write the program as one ONNX file.

    Args:
        program: of `deploy.trace`.
        precision: of the network, one of `PRECISIONS`.
        images: (3, H, W) uint8 RGB; they calibrate the ranges of int8 values.
        compact: for a released model, whose weights are those of half precision: half the size, and the same answers.
            The network computes in float32, and the runtime folds batch norms when it loads the file.
        names: of the input and of the outputs.
    """
    import onnx

    model = simplify(convert(program, *names), fold=not compact)
    if compact:
        store_halves(model)
    if precision == "float16":
        to_float16(model)
    elif precision == "int8":
        model = quantize(model, images)
    onnx.helper.set_model_props(model, {METADATA: json.dumps(about)})
    onnx.save(model, path)


def export_network(path: Path, out: Path, compact: bool = False, **more: Any) -> None:
    """Write a checkpoint as a float32 ONNX file, without a comparison with PyTorch.

    Args:
        path: of the checkpoint.
        out: the file; whole or absent.
        compact: as in `write`.
        more: entries for the metadata.

    Raises:
        InputError: the checkpoint cannot be read, or a library is missing.
    """
    libraries = require()
    network = TorchBackend(path)
    about = describe(network.described, path.name, "float32", libraries)
    with replace_file(out) as temporary:
        program = trace(network.module, network.size)
        write(program, temporary, {**about, **more}, "float32", [], compact)


def convert(program: ExportedProgram, image: str = INPUT, outputs: Sequence[str] = OUTPUTS) -> Any:
    """The program as an onnx.ModelProto, without traces of this machine."""
    import onnxscript

    with _quiet():
        converted = torch.onnx.export(
            program,
            input_names=[image],
            output_names=list(outputs),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
            optimize=False,  # its rules take longer than all the rest; those of `simplify` take a second
        )
        assert converted is not None
        # The decomposition gives a convolution a bias of zeros, made by an Expand that `simplify` does not fold.
        onnxscript.optimizer.fold_constants(converted.model)
    model = converted.model_proto
    graph = model.graph
    for item in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del item.metadata_props[:]  # stack traces with this machine's paths, larger than the weights
    symbol = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dimension in value.type.tensor_type.shape.dim:
            if symbol and dimension.dim_param == symbol:
                dimension.dim_param = "batch"
    return model


def simplify(model: Any, fold: bool = True) -> Any:
    """The model without what the runtime computes once; `fold` batch norms into the convolutions' weights, too."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    with scratch_folder("onnx") as folder:
        options.optimized_model_filepath = str(folder / "a.onnx")
        kept = [] if fold else ["ConvBNFusion", "ConvMulFusion", "ConvAddFusion"]
        onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"], disabled_optimizers=kept
        )
        return onnx.load(options.optimized_model_filepath)


def store_halves(model: Any) -> None:
    """Store float32 constants in half precision where that is exact, each with a cast that the runtime folds."""
    from onnx import TensorProto, numpy_helper

    graph, casts = model.graph, []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        array = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            half = array.astype(np.float16)
        if array.size >= SMALLEST and (half == array).all():
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(half, f"{name}_half"))
            casts.append(_cast(tensor.name, name, TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def network_nodes(model: Any) -> list[Any]:
    """The nodes from the first convolution to the heatmaps; before them the image is normalised, after them decoded."""
    nodes = list(model.graph.node)
    convolutions = [i for i, node in enumerate(nodes) if node.op_type == "Conv"]
    maker = {name: i for i, node in enumerate(nodes) for name in node.output}
    found, todo = set(), [convolutions[-1]]
    while todo:
        i = todo.pop()
        if i >= convolutions[0] and i not in found:
            found.add(i)
            todo += [maker[name] for name in nodes[i].input if name in maker]
    return [nodes[i] for i in sorted(found)]


def to_float16(model: Any) -> None:
    """Make the network compute in float16; the decoding of its heatmaps stays float32.

    onnxruntime's converter is not used: nodes that are excluded from it still pass float16 values to each other.
    """
    from onnx import TensorProto

    graph, inside = model.graph, network_nodes(model)
    names, image = {node.name for node in inside}, inside[0].input[0]
    made = {name for node in inside for name in node.output}
    floats = set()
    for value in graph.value_info:
        if value.name in made and value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = TensorProto.FLOAT16
            floats.add(value.name)
    halves = {**_half_weights(graph, inside), image: f"{image}_float16"}
    outside = [node for node in graph.node if node.name not in names]
    wanted = {name for node in outside for name in node.input} & floats
    nodes = []
    for node in graph.node:
        if node.name == inside[0].name:
            nodes.append(_cast(image, halves[image], TensorProto.FLOAT16))
        _rename(node, halves if node.name in names else {name: f"{name}_float32" for name in wanted})
        nodes.append(node)
        nodes += [_cast(name, f"{name}_float32", TensorProto.FLOAT) for name in node.output if name in wanted]
    del graph.node[:]
    graph.node.extend(nodes)


def _half_weights(graph: Any, nodes: list[Any]) -> dict[str, str]:
    """Put float16 copies of the nodes' float32 constants into the graph; their names by those of the constants.

    Constants that no other node uses are removed.
    """
    from onnx import TensorProto, numpy_helper

    taken = {name for node in nodes for name in node.input}
    names = {node.name for node in nodes}
    elsewhere = {name for node in graph.node if node.name not in names for name in node.input}
    halves = {}
    for tensor in [t for t in graph.initializer if t.name in taken and t.data_type == TensorProto.FLOAT]:
        halves[tensor.name] = f"{tensor.name}_float16"
        array = numpy_helper.to_array(tensor).astype(np.float16)
        graph.initializer.append(numpy_helper.from_array(array, halves[tensor.name]))
        if tensor.name not in elsewhere:
            graph.initializer.remove(tensor)
    return halves


def _cast(name: str, to: str, kind: int) -> Any:
    from onnx import helper

    return helper.make_node("Cast", [name], [to], name=f"cast_{to}", to=kind)


def _rename(node: Any, names: Mapping[str, str]) -> None:
    for i, name in enumerate(node.input):
        node.input[i] = names.get(name, name)


def quantize(model: Any, images: Iterable[np.ndarray]) -> Any:
    """The model with its network in 8 bits; see `write`."""
    import onnx
    from onnxruntime import quantization

    class Images(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.rest = iter(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self.rest, None)
            return None if image is None else {INPUT: image[None]}

    nodes = [node.name for node in network_nodes(model) if node.op_type in QUANTIZED]
    with scratch_folder("onnx") as folder, _quiet():
        plain, quantized = folder / "float32.onnx", folder / "int8.onnx"
        onnx.save(model, plain)
        quantization.quantize_static(
            plain,
            quantized,
            Images(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTIZED),
            nodes_to_quantize=nodes,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        return onnx.load(quantized)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's and the quantizer's hints for developers."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
