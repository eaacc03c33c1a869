// A second look at a small packet, cut out of the frame: cardpose/prediction/second_look.py.

const FILL = 0.6; // of the cut-out, in width or height

/** Smallest and largest coordinate along an axis, 0 or 1. */
const range = (corners, axis) => {
  const values = corners.map((corner) => corner[axis]);
  return [Math.min(...values), Math.max(...values)];
};

/** Width of the smallest rectangle of the network's shape [H, W] that holds a width and a height. */
const widthAround = ([x, y], [height, width]) => Math.max(x, (y * width) / height);

const extents = (corners) => [0, 1].map((axis) => {
  const [low, high] = range(corners, axis);
  return high - low;
});

/** Share of the network's input that a packet fills, in width or height; `frame` [width, height], `size` [H, W]. */
export const filled = (corners, frame, size) => widthAround(extents(corners), size) / widthAround(frame, size);

/** { left, top, right, bottom } of the cut-out in whole pixels of the frame. */
export function cutOut(corners, frame, size) {
  const across = widthAround(extents(corners), size) / FILL;
  const [[left, right], [top, bottom]] = [across, (across * size[0]) / size[1]].map((wanted, axis) => {
    const length = Math.min(wanted, frame[axis]), [low, high] = range(corners, axis);
    const start = Math.min(Math.max((low + high) / 2 - length / 2, 0), frame[axis] - length);
    const first = Math.floor(start + 0.5);
    return [first, Math.max(Math.floor(start + length + 0.5), first + 1)];
  });
  return { left, top, right, bottom };
}
