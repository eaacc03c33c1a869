// A box before a pinhole camera, fitted to the corners of one frame: cardpose/geometry/box_fit.py and boxes.py in
// double precision. Lengths in mm, points in pixels (x right, y down), camera axes x right, y down, z forward.

const WIDTH = 63, HEIGHT = 88; // of a card, mm
const FIT_SIDE = 256, STEPS = 12;
const DAMPING = 1e-3, MAX_TURN = 0.5, START_MM = 8;
const UNITS = [1, 1, 1, 100, 100, 100, 10]; // rad, mm, mm: scales the parameters to about the same size
export const PHONE_FOCAL = 1.06; // in longer sides of the frame
export const MIN_CORNERS = 4;

export const CORNERS = [
  "upper_left_face", "upper_right_face", "upper_left_back", "upper_right_back",
  "lower_left_face", "lower_right_face", "lower_left_back", "lower_right_back",
];
const sign = (name, word) => (name.includes(word) ? 1 : -1);
const X = CORNERS.map((name) => (sign(name, "right") * WIDTH) / 2);
const Y = CORNERS.map((name) => (sign(name, "upper") * HEIGHT) / 2);
const DEPTH = CORNERS.map((name) => (name.endsWith("back") ? 0 : -1)); // in units of the thickness

/** Solve rows [A | b] of a positive definite system by Gauss-Jordan; the right-hand sides, solved. */
function eliminate(rows) {
  const n = rows.length;
  for (let i = 0; i < n; i++) {
    const pivot = rows[i].map((value) => value / rows[i][i]);
    rows = rows.map((row, j) => (j === i ? pivot : row.map((value, k) => value - row[i] * pivot[k])));
  }
  return rows.map((row) => row.slice(n));
}

const matmul = (a, b) => a.map((row) => b[0].map((_, k) => row.reduce((sum, value, j) => sum + value * b[j][k], 0)));

/** Pose by scaled orthography: { rotation 3x3, translation [3], thickness }. */
function start(points, weights, focal) {
  const design = X.map((x, i) => [x, Y[i], DEPTH[i], 1]);
  const ridge = [1e-2, 1e-2, 1e-2, 1e-4];
  const rows = ridge.map((floor, j) => {
    const row = [0, 0, 0, 0, 0, 0];
    design.forEach((at, i) => {
      [...at, ...points[i]].forEach((value, k) => { row[k] += weights[i] * at[j] * value; });
    });
    row[j] += floor;
    return row;
  });
  const [along, across, , centre] = eliminate(rows);
  const a = along[0] ** 2 + along[1] ** 2, b = across[0] ** 2 + across[1] ** 2;
  const c = along[0] * across[0] + along[1] * across[1];
  const scale2 = Math.max((a + b + Math.sqrt((a - b) ** 2 + 4 * c * c)) / 2, 1e-8);
  const scale = Math.sqrt(scale2);
  const first = Math.sqrt(Math.max(1 - a / scale2, 0));
  const second = Math.sqrt(Math.max(1 - b / scale2, 0)) * (c > 0 ? -1 : 1);
  // Orthography leaves two poses: take the one whose z axis points up in the image.
  const flip = first * across[0] - second * along[0] > 0 ? -1 : 1;
  const right = [along[0] / scale, along[1] / scale, flip * first];
  const away = [across[0] / scale, across[1] / scale, flip * second];
  const up = [
    right[1] * away[2] - right[2] * away[1],
    right[2] * away[0] - right[0] * away[2],
    right[0] * away[1] - right[1] * away[0],
  ];
  const rotation = [0, 1, 2].map((j) => [right[j], away[j], up[j]]);
  return { rotation, translation: [centre[0] / scale, centre[1] / scale, focal / scale], thickness: START_MM };
}

/** Residual [2] and its derivatives [2][7] of each corner. */
function model({ rotation, translation, thickness }, points, focal) {
  return points.map((point, i) => {
    const change = rotation.map((row) => DEPTH[i] * row[2]);
    const arm = rotation.map((row, j) => row[0] * X[i] + row[1] * Y[i] + thickness * change[j]);
    const depth = Math.max(arm[2] + translation[2], 1);
    const by = [
      [0, arm[2], -arm[1], 100, 0, 0, 10 * change[0]],
      [-arm[2], 0, arm[0], 0, 100, 0, 10 * change[1]],
      [arm[1], -arm[0], 0, 0, 0, 100, 10 * change[2]],
    ];
    const slope = [0, 1].map((j) => (arm[j] + translation[j]) / depth);
    return {
      residual: slope.map((value, j) => focal * value - point[j]),
      jacobian: slope.map((value, j) => by[j].map((d, p) => (focal / depth) * (d - value * by[2][p]))),
    };
  });
}

function normalEquations(corners, weights) {
  const rows = UNITS.map(() => new Array(8).fill(0));
  corners.forEach(({ residual, jacobian }, i) => {
    for (let axis = 0; axis < 2; axis++) {
      const full = [...jacobian[axis], residual[axis]];
      for (let p = 0; p < 7; p++) for (let q = 0; q < 8; q++) rows[p][q] += weights[i] * full[p] * full[q];
    }
  });
  rows.forEach((row, p) => { row[p] = row[p] * (1 + DAMPING) + 1e-3; });
  return rows;
}

/** Rotation about `vector` by its length in radians (Rodrigues 1840), at most 0.5. */
function turn(vector) {
  const length = Math.sqrt(Math.max(vector.reduce((sum, v) => sum + v * v, 0), 1e-16));
  const [x, y, z] = vector.map((value) => value / length);
  const cross = [[0, -z, y], [z, 0, -x], [-y, x, 0]];
  const twice = matmul(cross, cross);
  const angle = Math.min(length, MAX_TURN);
  return cross.map((row, j) => row.map((value, k) =>
    (j === k ? 1 : 0) + Math.sin(angle) * value + (1 - Math.cos(angle)) * twice[j][k]));
}

const squared = (residual) => residual[0] ** 2 + residual[1] ** 2;

/** Fit in pixels relative to the principal point; `tolerance` in pixels, Infinity for plain least squares. */
function fitBox(points, weights, focal, tolerance) {
  let pose = start(points, weights, focal);
  for (let step = 0; step < STEPS; step++) {
    const corners = model(pose, points, focal);
    const robust = weights.map((w, i) => w / (1 + squared(corners[i].residual) / tolerance ** 2));
    const moved = eliminate(normalEquations(corners, robust)).map(([value], p) => -value * UNITS[p]);
    pose = {
      rotation: matmul(turn(moved.slice(0, 3)), pose.rotation),
      translation: pose.translation.map((value, j) => value + moved[3 + j]),
      thickness: pose.thickness + moved[6],
    };
  }
  const total = Math.max(weights.reduce((sum, w) => sum + w, 0), 1e-6);
  const error = model(pose, points, focal).reduce((sum, { residual }, i) => sum + weights[i] * squared(residual), 0);
  const given = CORNERS.map((_, i) => i).filter((i) => weights[i] > 0);
  const determined = given.length >= MIN_CORNERS && given.some((i) => DEPTH[i]) && given.some((i) => !DEPTH[i]);
  return { ...pose, thickness: determined ? pose.thickness : NaN, reprojection: Math.sqrt(error / total) };
}

function project({ rotation, translation, thickness }, focal) {
  return X.map((x, i) => {
    const [px, py, pz] = rotation.map((row, j) =>
      row[0] * x + row[1] * Y[i] + row[2] * DEPTH[i] * thickness + translation[j]);
    const depth = Math.max(pz, 1);
    return [(focal * px) / depth, (focal * py) / depth];
  });
}

/**
 * Fit a box to the corners [8][2] of a frame, source pixels, with weights [8], 0 where not found.
 * `tolerance` and `focal` are in longer sides of the frame. NaN where the corners determine no box.
 * `steepness`: cosine of the angle between the view and the table's normal, 1 from straight above.
 */
export function fitFrame(corners, weights, [width, height], tolerance = Infinity, focal = PHONE_FOCAL) {
  const middle = [(width - 1) / 2, (height - 1) / 2];
  const scale = FIT_SIDE / Math.max(width, height);
  const points = corners.map((corner, i) =>
    (weights[i] > 0 ? corner.map((value, j) => (value - middle[j]) * scale) : [0, 0]));
  const fit = fitBox(points, weights, focal * FIT_SIDE, tolerance * FIT_SIDE);
  const from = Math.hypot(...fit.translation);
  const normal = fit.rotation.map((row) => row[2]);
  return {
    thickness: fit.thickness,
    distance: fit.reprojection / scale,
    corners: project(fit, focal * FIT_SIDE).map((corner) => corner.map((value, j) => value / scale + middle[j])),
    steepness: Math.abs(normal.reduce((sum, value, j) => sum + value * fit.translation[j], 0)) / from,
  };
}
