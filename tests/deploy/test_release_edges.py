"""The exported counter of edges marks what the trained one marks."""

from pathlib import Path

import numpy as np
import pytest

from cardpose.deploy import onnx_model, release_edges
from cardpose.edges import training
from cardpose.edges.calibration import held_out
from cardpose.edges.counting import EdgeCounter
from cardpose.edges.network import marker


@pytest.fixture(scope="module")
def strips() -> list[np.ndarray]:
    return [held_out(3, number)[1].image for number in range(3)]


def test_the_released_file_is_that_of_the_released_weights(strips: list[np.ndarray]) -> None:
    network, fits = training.load(training.FILE)
    counter, mark = EdgeCounter.from_file(), marker(network)
    for strip in strips:
        np.testing.assert_allclose(counter.mark(strip), mark(strip), atol=2e-3)
    assert counter.weights is not None
    assert fits == {"choice": counter.choice.tolist(), "calibration": counter.weights.tolist()}


def test_an_export_of_any_weights(tmp_path: Path, strips: list[np.ndarray]) -> None:
    onnx_model.require()
    out = tmp_path / "edges.onnx"
    release_edges.main(training.FILE, out)
    mark = marker(training.load(training.FILE)[0])
    np.testing.assert_allclose(EdgeCounter.from_file(out).mark(strips[0]), mark(strips[0]), atol=2e-3)
