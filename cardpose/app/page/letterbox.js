// A frame of any size to the network's input, as cardpose/geometry/letterbox.py: area interpolation when shrinking,
// bilinear otherwise, centred on grey.

const PAD_GREY = 114;

/** Half to even, as Python rounds. */
const round = (value) => {
  const down = Math.floor(value);
  return value - down === 0.5 ? down + (down % 2) : Math.round(value);
};

/** For each of `to` output pixels the first input pixel and the weights of those it takes. */
function taps(from, to, shrink) {
  const step = from / to;
  return Array.from({ length: to }, (_, i) => {
    if (!shrink) {
      const at = Math.min(Math.max((i + 0.5) * step - 0.5, 0), from - 1);
      const first = Math.min(Math.floor(at), Math.max(from - 2, 0));
      return { first, weights: from > 1 ? [1 - at + first, at - first] : [1] };
    }
    const start = i * step, end = Math.min(start + step, from);
    const first = Math.floor(start), last = Math.min(Math.ceil(end - 1e-9), from);
    const weights = [];
    for (let j = first; j < last; j++) weights.push((Math.min(j + 1, end) - Math.max(j, start)) / (end - start));
    return { first, weights };
  });
}

/** Weights and buffers of the last sizes, of whole frames and of a cut-out, kept for the next frame. */
const kept = new Map();
const MOST_KEPT = 2;

function plan(width, height, outWidth, outHeight) {
  const key = [width, height, outWidth, outHeight].join();
  const found = kept.get(key) ?? newPlan(width, height, outWidth, outHeight);
  kept.delete(key);
  kept.set(key, found); // the last used is the last to leave
  if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value);
  return found;
}

function newPlan(width, height, outWidth, outHeight) {
  const scale = Math.min(outHeight / height, outWidth / width);
  const innerWidth = Math.max(1, round(width * scale)), innerHeight = Math.max(1, round(height * scale));
  return {
    innerWidth, innerHeight,
    left: Math.floor((outWidth - innerWidth) / 2), top: Math.floor((outHeight - innerHeight) / 2),
    columns: taps(width, innerWidth, scale < 1), rows: taps(height, innerHeight, scale < 1),
    line: new Float32Array(width * 4), planes: new Uint8Array(3 * outWidth * outHeight),
  };
}

/**
 * RGBA pixels { data, width, height }, or their part { left, top, right, bottom } ->
 * { planes: Uint8Array (3, H, W), toSource: [x, y] -> source pixels }. `planes` is overwritten by a later call.
 */
export function letterbox({ data, width, height }, [outHeight, outWidth], part) {
  const { left: fromX, top: fromY, right, bottom } = part ?? { left: 0, top: 0, right: width, bottom: height };
  const partWidth = right - fromX, partHeight = bottom - fromY;
  const { innerWidth, innerHeight, left, top, columns, rows, line, planes } =
    plan(partWidth, partHeight, outWidth, outHeight);
  const area = outWidth * outHeight;
  planes.fill(PAD_GREY);
  for (let y = 0; y < innerHeight; y++) {
    const { first, weights } = rows[y];
    line.fill(0);
    for (let k = 0; k < weights.length; k++) {
      const weight = weights[k], offset = ((fromY + first + k) * width + fromX) * 4;
      for (let i = 0; i < partWidth * 4; i++) line[i] += weight * data[offset + i];
    }
    for (let x = 0; x < innerWidth; x++) {
      const across = columns[x], at = (top + y) * outWidth + left + x;
      let red = 0, green = 0, blue = 0;
      for (let k = 0; k < across.weights.length; k++) {
        const weight = across.weights[k], i = (across.first + k) * 4;
        red += weight * line[i];
        green += weight * line[i + 1];
        blue += weight * line[i + 2];
      }
      planes[at] = red + 0.5;
      planes[at + area] = green + 0.5;
      planes[at + 2 * area] = blue + 0.5;
    }
  }
  const stepX = partWidth / innerWidth, stepY = partHeight / innerHeight;
  const toSource = ([x, y]) =>
    [(x + 0.5 - left) * stepX - 0.5 + fromX, (y + 0.5 - top) * stepY - 0.5 + fromY];
  return { planes, toSource };
}
