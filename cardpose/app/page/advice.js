// What to do, in words, from the estimate of a frame.

import { CUT_OFF, extent, NO_BOX, NO_PACKET } from "./fusion.js";

const SMALL = 0.3; // of the frame's longer side
const STEEP = Math.cos((35 * Math.PI) / 180); // from closer to straight above than this the sides are hardly seen
const FAST = 0.4; // longer sides of the frame a second

const CARD_MM = 0.3, MIN_PITCH = 2.5; // of cardpose.edges: a nominal card, and its least pixels to count edges
const UPRIGHT = [[0, 2], [1, 3], [4, 6], [5, 7]];

/** Pixels a card in a picture of the same view whose longer side has `side` pixels; NaN without a box. */
export function pitch(estimate, side) {
  const length = ([a, b]) => Math.hypot(...estimate.box[a].map((value, i) => value - estimate.box[b][i]));
  const scale = side / Math.max(...estimate.size);
  return (scale * Math.max(...UPRIGHT.map(length)) * CARD_MM) / estimate.thickness;
}

/** The key of a text, or ""; `side` is the longer side of the largest picture of this view, 0: unknown. */
export function advise(estimate, speed, side = 0) {
  if (!estimate.found.some(Boolean)) return "noPacket";
  if (estimate.flag === NO_PACKET || estimate.flag === CUT_OFF) return "cutOff";
  if (speed > FAST) return "still";
  if (extent(estimate.corners, estimate.found) < SMALL * Math.max(...estimate.size)) return "closer";
  if (estimate.flag === NO_BOX) return "noBox";
  if (estimate.steepness > STEEP) return "lower";
  return pitch(estimate, side) >= MIN_PITCH ? "exact" : "";
}
