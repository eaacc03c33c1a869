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

/** Solve rows [A | b] of a positive definite system by Gauss-Jordan, in place: b becomes the solution. */
function eliminate(rows) {
  const n = rows.length, width = rows[0].length;
  for (let i = 0; i < n; i++) {
    const pivot = rows[i], value = pivot[i];
    for (let k = i; k < width; k++) pivot[k] /= value;
    for (const row of rows) {
      const factor = row[i];
      if (row !== pivot) for (let k = i; k < width; k++) row[k] -= factor * pivot[k];
    }
  }
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
  eliminate(rows);
  const [along, across, , centre] = rows.map((row) => row.slice(4));
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

// The steps of a fit write into its arrays, since garbage of a hundred fits a second lets the memory grow.

/** Write the residuals [16], x and y of each corner, and with `jacobians` [8][2][7] their derivatives. */
function residuals({ rotation: [across, along, away], translation, thickness }, points, focal, differences, jacobians) {
  for (let i = 0; i < points.length; i++) {
    const lift = thickness * DEPTH[i];
    const armX = across[0] * X[i] + across[1] * Y[i] + lift * across[2];
    const armY = along[0] * X[i] + along[1] * Y[i] + lift * along[2];
    const armZ = away[0] * X[i] + away[1] * Y[i] + lift * away[2];
    const depth = Math.max(armZ + translation[2], 1);
    const slopeX = (armX + translation[0]) / depth, slopeY = (armY + translation[1]) / depth;
    differences[2 * i] = focal * slopeX - points[i][0];
    differences[2 * i + 1] = focal * slopeY - points[i][1];
    if (!jacobians) continue;
    // Of x, y and z by the parameters: (0, z, -y, 1, 0, 0, up), (-z, 0, x, 0, 1, 0, up), (y, -x, 0, 0, 0, 1, up).
    const by = focal / depth, upZ = DEPTH[i] * away[2];
    const upX = DEPTH[i] * across[2] - slopeX * upZ, upY = DEPTH[i] * along[2] - slopeY * upZ;
    setScaled(jacobians[i][0], by, -slopeX * armY, armZ + slopeX * armX, -armY, 100, 0, -100 * slopeX, 10 * upX);
    setScaled(jacobians[i][1], by, -armZ - slopeY * armY, slopeY * armX, armX, 0, 100, -100 * slopeY, 10 * upY);
  }
}

function setScaled(row, scale, a, b, c, d, e, f, g) {
  row[0] = scale * a; row[1] = scale * b; row[2] = scale * c;
  row[3] = scale * d; row[4] = scale * e; row[5] = scale * f;
  row[6] = scale * g;
}

/** Write the normal equations [7][8], the last column their right-hand side. */
function normalEquations(differences, jacobians, weights, rows) {
  for (const row of rows) row.fill(0);
  for (let i = 0; i < differences.length; i++) {
    const slopes = jacobians[i >> 1][i & 1];
    for (let p = 0; p < 7; p++) {
      const weighted = weights[i >> 1] * slopes[p];
      for (let q = 0; q < 7; q++) rows[p][q] += weighted * slopes[q];
      rows[p][7] += weighted * differences[i];
    }
  }
  for (let p = 0; p < 7; p++) rows[p][p] = rows[p][p] * (1 + DAMPING) + 1e-3;
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

const squared = (differences, i) => differences[2 * i] ** 2 + differences[2 * i + 1] ** 2;

/** Fit in pixels relative to the principal point; `tolerance` in pixels, Infinity for plain least squares. */
function fitBox(points, weights, focal, tolerance) {
  let pose = start(points, weights, focal);
  const jacobians = CORNERS.map(() => [new Float64Array(7), new Float64Array(7)]);
  const differences = new Float64Array(16), robust = new Float64Array(8);
  const rows = UNITS.map(() => new Float64Array(8));
  for (let step = 0; step < STEPS; step++) {
    residuals(pose, points, focal, differences, jacobians);
    for (let i = 0; i < 8; i++) robust[i] = weights[i] / (1 + squared(differences, i) / tolerance ** 2);
    normalEquations(differences, jacobians, robust, rows);
    eliminate(rows);
    const moved = rows.map((row, p) => -row[7] * UNITS[p]);
    pose = {
      rotation: matmul(turn(moved.slice(0, 3)), pose.rotation),
      translation: pose.translation.map((value, j) => value + moved[3 + j]),
      thickness: pose.thickness + moved[6],
    };
  }
  residuals(pose, points, focal, differences);
  const total = Math.max(weights.reduce((sum, w) => sum + w, 0), 1e-6);
  const error = weights.reduce((sum, w, i) => sum + w * squared(differences, i), 0);
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
