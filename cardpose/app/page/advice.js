// What to do, in words, from the estimate of a frame.

import { CUT_OFF, extent, NO_BOX, NO_PACKET } from "./fusion.js";

const SMALL = 0.3; // of the frame's longer side
const STEEP = Math.cos((35 * Math.PI) / 180); // from closer to straight above than this the sides are hardly seen
const FAST = 0.4; // longer sides of the frame a second

/** The key of a text, or "". */
export function advise(estimate, speed) {
  if (estimate.flag === NO_PACKET) return "noPacket";
  if (estimate.flag === CUT_OFF) return "cutOff";
  if (speed > FAST) return "still";
  if (extent(estimate.corners, estimate.found) < SMALL * Math.max(...estimate.size)) return "closer";
  if (estimate.flag === NO_BOX) return "noBox";
  return estimate.steepness > STEEP ? "lower" : "";
}
