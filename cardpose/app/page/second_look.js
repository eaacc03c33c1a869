// A second look at a small packet, cut out of the frame: cardpose/prediction/second_look.py.

import { GOOD, NO_PACKET } from "./fusion.js";

const FILL = 0.6; // largest share of the cut-out that the packet fills, in width or height
const STEP = 16; // the width of a cut-out is a multiple

/** Flags of the second look that replace the first. */
export const DECISIVE = [GOOD, NO_PACKET];

/** Smallest and largest coordinate along an axis, 0 or 1. */
function range(corners, axis) {
  const values = corners.map((corner) => corner[axis]);
  return [Math.min(...values), Math.max(...values)];
}

function extents(corners) {
  return [0, 1].map((axis) => {
    const [low, high] = range(corners, axis);
    return high - low;
  });
}

/** Width of the smallest rectangle of the network's shape [H, W] that holds a width and a height. */
const widthAround = ([x, y], [height, width]) => Math.max(x, (y * width) / height);

/** Share of the network's input that a packet fills, in width or height; `frame` [width, height], `size` [H, W]. */
export const filled = (corners, frame, size) => widthAround(extents(corners), size) / widthAround(frame, size);

/** { left, top, right, bottom } of the cut-out in whole pixels of the frame. */
export function cutOut(corners, frame, [height, width]) {
  const across = Math.ceil(widthAround(extents(corners), [height, width]) / FILL / STEP) * STEP;
  const lengths = [across, Math.floor((across * height) / width + 0.5)];
  const [[left, right], [top, bottom]] = lengths.map((wanted, axis) => {
    const length = Math.min(wanted, frame[axis]), [low, high] = range(corners, axis);
    const start = Math.floor((low + high) / 2 - length / 2 + 0.5);
    const first = Math.min(Math.max(start, 0), frame[axis] - length);
    return [first, first + length];
  });
  return { left, top, right, bottom };
}
