from dataclasses import replace

import cv2
import numpy as np
import pytest

from cardpose.common.packet import CORNERS, HIDDEN
from cardpose.synth.records import Clip, Shot, Wave
from cardpose.synth.rendering.box import label
from cardpose.synth.rendering.lighting import light_map
from cardpose.synth.rendering.renderer import Renderer
from cardpose.synth.rendering.sensor import motion_kernel
from cardpose.synth.rendering.textures import FAMILIES, TABLES, card_back, table_tiles
from cardpose.synth.sampling.scene import sample_shot

BLACK, WHITE = np.zeros(3), np.ones(3)


def stark(clip: Clip, top: bool) -> Clip:
    """The clip in black, with either the top card or the packet's sides in white, and a perfect camera."""
    packet = clip.packet
    still = replace(clip.path, shake_x=Wave(0, 0, 1, 0), shake_y=Wave(0, 0, 1, 0), shutter=0.0)
    return replace(
        clip,
        packet=replace(packet, paper=WHITE, gap_shade=1.0, tones=np.full_like(packet.tones, float(not top))),
        back=replace(clip.back, colour=BLACK, contrast=0.0, border=99.0 if top else -99.0),
        table=replace(clip.table, colour=BLACK, kind="paper", wall=BLACK),
        light=replace(clip.light, ambient=1.0, gloss=0.0, gains=WHITE),
        sensor=replace(clip.sensor, defocus=0.0, noise=0.0, vignette=0.0),
        path=still,
    )


def drawn_line(image: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The line (a, b, c) along which brightness passes half its height, near the one from start to end."""
    along = (end - start) / np.linalg.norm(end - start)
    across = np.array([-along[1], along[0]])
    depths = np.arange(-5, 5.001, 0.125)
    found = []
    for share in np.linspace(0.25, 0.75, 40):
        line = start + share * (end - start) + depths[:, None] * across
        x, y = line.astype(np.float32).T[..., None]
        profile = cv2.remap(image, x, y, cv2.INTER_LINEAR)[:, 0]
        if profile[0] > profile[-1]:
            profile, line = profile[::-1], line[::-1]
        half = (profile[0] + profile[-1]) / 2
        i = int(np.argmax(profile > half))
        part = (half - profile[i - 1]) / (profile[i] - profile[i - 1])
        found.append(line[i - 1] + part * (line[i] - line[i - 1]))
    vx, vy, x0, y0 = cv2.fitLine(np.array(found, np.float32), cv2.DIST_HUBER, 0, 0.01, 0.01).ravel()
    return np.array([vy, -vx, vx * y0 - vy * x0])


def drawn_corner(image: np.ndarray, corner: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Where the drawn edges from `corner` to its two neighbours meet."""
    point = np.cross(drawn_line(image, corner, one), drawn_line(image, corner, other))
    return point[:2] / point[2]


def grey(clip: Clip, shot: Shot) -> np.ndarray:
    return cv2.cvtColor(Renderer(clip).frame(shot), cv2.COLOR_RGB2GRAY).astype(np.float32)


@pytest.mark.parametrize("rolling", [(0.0, 0.0), (25.0, -15.0)])
@pytest.mark.parametrize("number", range(6))
def test_top_corners_are_drawn_where_the_labels_say(make_clip, number: int, rolling: tuple) -> None:
    clip = stark(make_clip(number, cards=8 * number + 4), top=True)
    shot = sample_shot(clip, 10)
    shot = replace(shot, camera=replace(shot.camera, rolling=np.array(rolling)))
    corners, visibility = label(clip.packet.corners, shot.camera)
    if visibility.min() < HIDDEN:
        pytest.skip("a corner lies outside the image")
    image = grey(clip, shot)
    ring = [CORNERS.index(f"{n}_back") for n in ("upper_left", "upper_right", "lower_right", "lower_left")]
    for i in range(4):
        corner, one, other = (corners[ring[k % 4]] for k in (i, i + 1, i + 3))
        assert np.linalg.norm(drawn_corner(image, corner, one, other) - corner) < 0.35


@pytest.mark.parametrize("cards", [20, 52])
@pytest.mark.parametrize("bearing", [-40, 35])
def test_the_foot_is_drawn_where_the_labels_say(make_clip, cards: int, bearing: float) -> None:
    """The nearest corner of the face, between two visible edges."""
    clip = make_clip(2, cards=cards)
    squared = replace(clip.packet, offsets=np.zeros((cards, 2)), turns=np.zeros(cards))
    path = replace(clip.path, heading=Wave(np.radians(bearing), 0, 1, 0))
    centred = replace(path, aim_x=Wave(0, 0, 1, 0), aim_y=Wave(0, 0, 1, 0))
    clip = stark(replace(clip, packet=squared, path=centred), top=False)
    shot = sample_shot(clip, 0)
    corners, _ = label(clip.packet.corners, shot.camera)
    at = {name: corners[CORNERS.index(name)] for name in CORNERS}
    near, far = ("right", "left") if bearing > 0 else ("left", "right")
    corner = at[f"lower_{near}_face"]
    drawn = drawn_corner(grey(clip, shot), corner, at[f"lower_{far}_face"], at[f"upper_{near}_face"])
    assert np.linalg.norm(drawn - corner) < 0.5


def test_every_card_has_its_line(make_clip) -> None:
    """Dark lines down the near side: one a gap, when the camera is close enough to see them."""
    clip = make_clip(0, cards=12)
    packet = replace(
        clip.packet,
        offsets=np.zeros((12, 2)),
        turns=np.zeros(12),
        tones=np.ones_like(clip.packet.tones),
        gap=0.3,
        gap_shade=0.2,
    )
    still = {name: Wave(0, 0, 1, 0) for name in ("heading", "aim_x", "aim_y", "roll", "shake_x", "shake_y")}
    path = replace(clip.path, **still, distance=Wave(90, 0, 1, 0), elevation=Wave(0.2, 0, 1, 0), shutter=0.0)
    sensor = replace(clip.sensor, defocus=0.0, noise=0.0)
    clip = replace(clip, packet=packet, path=path, sensor=sensor, light=replace(clip.light, ambient=1.0))
    shot = sample_shot(clip, 0)
    foot, edge = shot.camera.project(np.array([[0, -44, 0], [0, -44, packet.thickness]]))
    image = grey(clip, shot)
    column = image[round(edge[1]) + 1 : round(foot[1]), round(foot[0])]
    dips = (column[1:-1] < column[:-2] - 1) & (column[1:-1] <= column[2:])
    assert dips.sum() == 11


def test_a_packet_out_of_the_image_is_no_trouble(make_clip) -> None:
    clip = make_clip(0)
    away = replace(clip, path=replace(clip.path, aim_x=Wave(1500, 0, 1, 0)))
    assert Renderer(away).frame(sample_shot(away, 0)).std() > 0


def test_worn_edges_bare_the_paper_and_dirt_darkens_the_sides(make_clip) -> None:
    clip = stark(make_clip(1, cards=30), top=False)
    shot, clean = sample_shot(clip, 10), grey(clip, sample_shot(clip, 10))
    worn = replace(clip, back=replace(clip.back, wear=3.0, scuffs=np.ones((18, 13), np.float32)))
    assert (grey(worn, shot) >= clean - 1).all()
    assert grey(worn, shot).sum() > 1.05 * clean.sum()
    dirty = replace(clip, packet=replace(clip.packet, dirt=np.full_like(clip.packet.dirt, 0.5)))
    assert 0.45 * clean.sum() < grey(dirty, shot).sum() < 0.6 * clean.sum()


@pytest.mark.parametrize("number", range(8))
def test_frames_are_exposed_for_a_screen(make_clip, number: int) -> None:
    clip = make_clip(number, cards=6 * number + 1)
    frame = Renderer(clip).frame(sample_shot(clip, 30))
    assert frame.shape == (480, 640, 3)
    assert frame.dtype == np.uint8
    assert 15 < frame.mean() < 240
    assert (frame == 255).mean() < 0.3
    assert (frame == 0).mean() < 0.5


def test_a_frame_depends_on_nothing_but_its_shot(make_clip) -> None:
    clip = make_clip(3)
    shots = [sample_shot(clip, i) for i in range(3)]
    forward = [Renderer(clip).frame(shot) for shot in shots]
    renderer = Renderer(clip)
    for shot, want in reversed(list(zip(shots, forward, strict=True))):
        np.testing.assert_array_equal(renderer.frame(shot), want)


@pytest.mark.parametrize("motion", [(0, 0), (7, 0), (0, -3.5), (-4, 9)])
def test_motion_blur_keeps_light_and_place(motion: tuple[float, float]) -> None:
    kernel = motion_kernel(np.array(motion, float))
    reach = kernel.shape[0] // 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert np.sum(kernel * x) == pytest.approx(0, abs=1e-4)
    assert np.sum(kernel * y) == pytest.approx(0, abs=1e-4)
    spread = np.sqrt(12 * np.sum(kernel * (x**2 + y**2)))  # a uniform line's length from its deviation
    assert spread == pytest.approx(np.hypot(*motion), abs=1.5)


@pytest.mark.parametrize("family", FAMILIES)
def test_backs_have_no_top(make_clip, family: str) -> None:
    clip = make_clip(0)
    back = card_back(replace(clip.back, family=family, border=4.0, pitch=5.0, contrast=0.8), clip.packet)
    np.testing.assert_allclose(back, back[::-1, ::-1], atol=1e-4)
    np.testing.assert_allclose(back[5], np.broadcast_to(clip.packet.paper, back[5].shape), atol=1e-6)
    assert back[100:-100, 100:-100].std((0, 1)).max() > 0.01


@pytest.mark.parametrize("kind", TABLES)
def test_tables_tile_without_a_seam(kind: str) -> None:
    tile = table_tiles(kind, 0)[0]
    steps = np.abs(np.diff(np.vstack([tile, tile[:1]]), axis=0)).mean(1)
    assert tile.std() > 0.01
    assert steps[-1] < 1.5 * np.median(steps)


def test_the_shadow_falls_away_from_the_light(make_clip) -> None:
    clip = make_clip(0, cards=52)
    table = replace(clip.table, folds=0.0)
    light = replace(clip.light, direction=np.array([0.6, 0.0, 0.8]), ambient=0.5)
    lit = light_map(clip.packet, table, light)
    middle = lit.shape[0] // 2
    lit_side, dark_side = lit[middle, middle + 38], lit[middle, middle - 38]
    assert dark_side < lit_side - 0.2
    assert lit[0, 0] == pytest.approx(1, abs=1e-3)


def test_the_window_of_the_shadow_is_wide_enough(make_clip) -> None:
    """At its border the packet takes no light: a step there would be drawn as a line on the table."""
    clip = make_clip(1, cards=52)
    table = replace(clip.table, folds=0.0)
    for elevation in (18, 45, 80):
        angle = np.radians(elevation)
        light = replace(clip.light, direction=np.array([np.cos(angle), 0, np.sin(angle)]), softness=0.8)
        lit = light_map(clip.packet, table, light)
        assert np.abs(np.diff(lit, axis=0)).max() < 0.35
        shaded = np.flatnonzero((lit < 1).any(1))
        assert np.abs(lit[shaded[[0, -1]]] - 1).max() < 0.01


@pytest.mark.parametrize("number", range(3))
def test_corners_of_a_bent_packet_are_drawn_where_the_labels_say(make_clip, number: int) -> None:
    """The short edges stay straight; the long ones are met close to the corners."""
    clip = make_clip(number, cards=26)
    flat = stark(clip, top=True)
    bent = replace(flat, packet=replace(flat.packet, bend=3.0))
    shot = sample_shot(bent, 10)
    assert np.abs(bent.packet.corners - flat.packet.corners).max() == pytest.approx(3.0)
    corners, visibility = label(bent.packet.corners, shot.camera)
    if visibility.min() < HIDDEN:
        pytest.skip("a corner lies outside the image")
    image = grey(bent, shot)
    for side in ("upper", "lower"):
        left, right = (corners[CORNERS.index(f"{side}_{end}_back")] for end in ("left", "right"))
        line = drawn_line(image, left, right)
        for corner in (left, right):
            assert abs(line @ np.append(corner, 1)) / np.hypot(*line[:2]) < 0.5


def test_a_bend_of_nothing_changes_nothing(make_clip) -> None:
    """The strips of a bent card, were it flat, draw the same picture."""
    clip = make_clip(4, cards=20)
    shot = sample_shot(clip, 3)
    almost = replace(clip, packet=replace(clip.packet, bend=1e-9))
    flat, strips = Renderer(clip).frame(shot).astype(int), Renderer(almost).frame(shot).astype(int)
    assert np.abs(flat - strips).max() <= 2
