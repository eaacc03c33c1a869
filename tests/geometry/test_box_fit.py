"""The fitted box: exact on exact corners, honest about noise, silent where corners do not fix it."""

import numpy as np
import pytest
import torch
from poses import look
from torch import Tensor

from cardpose.common.packet import CARD_HEIGHT_MM, CARD_WIDTH_MM, CORNERS
from cardpose.geometry.box_fit import BoxFit, fit_box, solve
from cardpose.geometry.box_fit import project as project_fit

FOCAL, CENTRE = 680.0, (319.5, 239.5)


def boxes(number: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Corners (N, 8, 2) of boxes in pixels, and their thicknesses (N,) in mm."""
    draw = np.random.default_rng(seed)

    def uniform(low: float, high: float) -> Tensor:
        return torch.tensor(draw.uniform(low, high, number))

    pose = look(torch.deg2rad(uniform(-85, 85)), torch.deg2rad(uniform(10, 75)), uniform(140, 450))
    thickness = uniform(0.3, 16)
    return project(*pose, thickness), thickness


def project(rotation: Tensor, translation: Tensor, thickness: Tensor) -> Tensor:
    box = torch.zeros(len(thickness), 8, 3, dtype=torch.float64)
    for i, name in enumerate(CORNERS):
        box[:, i, 0] = (1 if "right" in name else -1) * CARD_WIDTH_MM / 2
        box[:, i, 1] = (1 if "upper" in name else -1) * CARD_HEIGHT_MM / 2
        box[:, i, 2] = 0.0 if "back" in name else -thickness
    seen = box @ rotation.transpose(1, 2) + translation[:, None]
    return FOCAL * seen[..., :2] / seen[..., 2:] + torch.tensor(CENTRE)


def fit(corners: Tensor, weights: Tensor | None = None, focal: float = FOCAL, **options: float) -> BoxFit:
    weights = torch.ones(corners.shape[:2], dtype=corners.dtype) if weights is None else weights
    return fit_box(corners, weights, focal, CENTRE, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("dtype", "within"), [(torch.float64, 1e-4), (torch.float32, 0.01)])
def test_exact_corners_give_the_exact_box(dtype: torch.dtype, within: float) -> None:
    corners, thickness = boxes(500)
    found = fit(corners.to(dtype))
    assert (found.thickness - thickness).abs().max() < within
    assert found.reprojection.max() < 0.01
    torch.testing.assert_close(
        project(found.rotation.double(), found.translation.double(), found.thickness.double()),
        corners,
        atol=0.02,
        rtol=0,
    )


def test_rotations_are_rotations() -> None:
    rotation = fit(boxes(50)[0]).rotation
    identity = torch.eye(3, dtype=torch.float64).expand_as(rotation)
    torch.testing.assert_close(rotation @ rotation.transpose(1, 2), identity, atol=1e-9, rtol=0)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(50, dtype=torch.float64))


def test_noise_spreads_the_thickness_by_the_covariance() -> None:
    corners, thickness = boxes(40)
    noise = 0.5 * torch.randn(400, 40, 8, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = fit((corners + noise).flatten(0, 1)).thickness.unflatten(0, (400, 40))
    predicted = 0.5 * fit(corners).covariance[:, -1, -1].sqrt()
    ratio = found.std(0) / predicted
    assert ratio.min() > 0.8
    assert ratio.max() < 1.25
    assert ((found.mean(0) - thickness).abs() < 4 * predicted / 20 + 0.02 * predicted).all()


def test_a_wrong_focal_length_hardly_matters() -> None:
    corners, thickness = boxes(200)
    off = [(fit(corners, focal=FOCAL * by).thickness / thickness - 1).abs().median() for by in (0.85, 1.2)]
    assert max(off) < 0.03


def test_corners_that_were_not_found_do_not_matter() -> None:
    corners, thickness = boxes(100)
    weights = torch.ones(100, 8, dtype=torch.float64)
    for row in range(100):
        missing = np.random.default_rng(row).choice(8, 2, replace=False)
        weights[row, missing] = 0
        corners[row, missing] = torch.nan
    assert (fit(corners, weights).thickness - thickness).abs().max() < 1e-3


def test_a_corner_in_the_wrong_place_is_outvoted() -> None:
    corners, thickness = boxes(200)
    corners[:, 5] += torch.tensor([25.0, -18.0])
    plain, robust = fit(corners), fit(corners, tolerance=6.0, steps=12)
    assert (robust.thickness - thickness).abs().median() < 0.2 * (plain.thickness - thickness).abs().median()


@pytest.mark.parametrize("found", [[], [0, 1, 4], [2, 3, 6, 7], [0, 1, 4, 5]])
def test_too_few_corners_or_one_surface_give_no_thickness(found: list[int]) -> None:
    weights = torch.zeros(3, 8, dtype=torch.float64)
    weights[:, found] = 1
    box = fit(boxes(3)[0], weights)
    assert box.thickness.isnan().all()
    assert not box.determined.any()


def test_a_box_does_not_depend_on_its_batch() -> None:
    corners, _ = boxes(6)
    together = fit(corners, tolerance=6.0)
    for row in range(6):
        for one, all_of_them in zip(fit(corners[row : row + 1], tolerance=6.0), together, strict=True):
            torch.testing.assert_close(one[0], all_of_them[row])


@pytest.mark.parametrize("tolerance", [None, 6.0])
def test_numpy_and_torch_fit_the_same_box(tolerance: float | None) -> None:
    corners = boxes(50)[0] + torch.randn(50, 8, 2, generator=torch.Generator().manual_seed(2))
    weights = torch.rand(50, 8, generator=torch.Generator().manual_seed(3)).double()
    weights[::5, :2] = 0
    weights[::7, 1:] = 0
    tensors = fit_box(corners, weights, FOCAL, CENTRE, 12, tolerance)
    arrays = fit_box(corners.numpy(), weights.numpy(), FOCAL, CENTRE, 12, tolerance)
    known = arrays.determined
    assert 30 < known.sum() < 50
    for array, tensor in zip(arrays, tensors, strict=True):
        np.testing.assert_allclose(array[known], tensor[known], rtol=1e-6, atol=1e-6)
    seen = [project_fit(box, FOCAL, CENTRE) for box in (arrays, tensors)]  # NaN where not determined
    np.testing.assert_allclose(*seen, atol=1e-6)


def test_solve_solves() -> None:
    root = torch.randn(5, 7, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    matrix, right = root @ root.transpose(1, 2) + torch.eye(7), torch.randn(5, 7, 2, dtype=torch.float64)
    torch.testing.assert_close(matrix @ solve(matrix, right), right)
