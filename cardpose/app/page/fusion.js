// From estimates of single frames to one count: cardpose/fusion/clips.py, intervals.py and prediction/tracking.py.

import { fitFrame, MIN_CORNERS } from "./box_fit.js";

const MAX_CARDS = 104;
const MAD_TO_SIGMA = 1.4826;
const SETTLE_FRAMES = 10, SETTLE_CARDS = 0.5;
export const GOOD = 0, NO_PACKET = 1, CUT_OFF = 2, NO_BOX = 3, OUTLIER = 4;

const clip = (value, low, high) => Math.min(Math.max(value, low), high);

/** Longest distance between two found corners. */
export function extent(corners, found) {
  let longest = 0;
  corners.forEach((a, i) => corners.forEach((b, j) => {
    if (found[i] && found[j]) longest = Math.max(longest, Math.hypot(a[0] - b[0], a[1] - b[1]));
  }));
  return longest;
}

/**
 * Flag a frame and fit the box to show, as check_and_fit: the flag by a plain fit with a phone's camera, the box by a
 * robust one. `confidence` [8], `corners` [8][2] in source pixels, `size` [width, height], `config` of the model.
 */
export function checkAndFit(confidence, corners, size, config, focal) {
  const found = confidence.map((height) => height > config.found);
  const weights = confidence.map((height, i) => (found[i] ? height : 0));
  const plain = fitFrame(corners, weights, size);
  const shown = fitFrame(corners, weights, size, config.tolerance, focal);
  const margin = config.border * Math.max(...size);
  const outside = corners.some((corner, i) => found[i] &&
    corner.some((value, j) => value < margin || value > size[j] - 1 - margin));
  const near = plain.distance <= config.max_residual * extent(corners, found);
  let flag = GOOD;
  if (found.filter(Boolean).length < MIN_CORNERS) flag = NO_PACKET;
  else if (outside) flag = CUT_OFF;
  else if (!(near && plain.thickness > config.min_thickness_mm)) flag = NO_BOX; // NaN is not above
  return { flag, found, thickness: shown.thickness, box: shown.corners, steepness: shown.steepness };
}

/** The corners that were found, those of the box for the others; NaN where there is neither. */
export function completed({ corners, found, box, flag }) {
  const boxed = flag === GOOD || flag === CUT_OFF;
  return corners.map((corner, i) => (found[i] ? corner : boxed && box[i].every(Number.isFinite) ? box[i] : [NaN, NaN]));
}

/** Indices of the values whose weight is above 0, ascending; of equal values the lightest first. */
function ascending(values, weights) {
  let count = 0;
  const all = new Uint32Array(values.length);
  for (let i = 0; i < values.length; i++) if (weights[i] > 0) all[count++] = i;
  const order = all.subarray(0, count);
  const before = (a, b) => values[a] < values[b] || (values[a] === values[b] && weights[a] < weights[b]);
  return order.sort((a, b) => (before(a, b) ? -1 : before(b, a) ? 1 : 0)); // whole numbers make no garbage
}

function sum(values) {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i];
  return total;
}

/** A value of each item, without garbage: a thousand frames are fused thirty times a second. */
function toDoubles(items, value) {
  const made = new Float64Array(items.length);
  for (let i = 0; i < made.length; i++) made[i] = value(items[i], i);
  return made;
}

/** The value with half of the weight on each side, interpolated between two values; NaN if one with a weight is NaN. */
export function weightedMedian(values, weights, order = ascending(values, weights)) {
  const half = sum(weights) / 2;
  let end = 0, before = NaN, middleBefore = NaN, median = NaN, found = false;
  for (const i of order) {
    if (Number.isNaN(values[i])) return NaN;
    const middle = end + weights[i] / 2;
    if (!found && middle >= half) {
      const share = (half - middleBefore) / (middle - middleBefore);
      median = end > 0 ? before + (values[i] - before) * share : values[i];
      found = true;
    }
    before = values[i];
    middleBefore = middle;
    end += weights[i];
  }
  return found ? median : before;
}

/** Mean of the middle half of the weight; NaN if a value with a weight is NaN. */
export function weightedMidmean(values, weights, order = ascending(values, weights)) {
  const total = sum(weights), within = (position) => clip(position, total / 4, 0.75 * total);
  let end = 0, inside = 0, mean = 0;
  for (const i of order) {
    if (!(weights[i] > 0)) continue;
    if (Number.isNaN(values[i])) return NaN;
    const part = within(end + weights[i]) - within(end);
    end += weights[i];
    inside += part;
    mean += part * values[i];
  }
  return mean / inside;
}

/** Interval [low, high] of a count from `frames` frames; NaN without a calibration. */
export function bounds(interval, cards, frames) {
  if (!interval) return [NaN, NaN];
  const half = Math.max(interval.floor + interval.slope * cards, 0) * Math.sqrt(1 + interval.noise / frames);
  return [clip(cards - half, 1, MAX_CARDS), clip(cards + half, 1, MAX_CARDS)];
}

/** Fuse frames { cards, std, flag }: the weighted midmean of the good ones; frames: how many were used. */
export function fuse(frames, config, interval) {
  let used = frames.filter((frame) => frame.flag === GOOD);
  if (!used.length) used = frames.filter((frame) => frame.flag !== NO_PACKET);
  if (!used.length) return { cards: NaN, low: NaN, high: NaN, frames: 0 };
  const equal = used.some((frame) => Number.isNaN(frame.std));
  const values = toDoubles(used, (frame) => frame.cards);
  const weights = toDoubles(used, (frame) => (equal ? 1 : 1 / Math.max(frame.std, config.min_cards_std)));
  const order = ascending(values, weights);
  const middle = weightedMedian(values, weights, order);
  const away = toDoubles(values, (value) => Math.abs(value - middle));
  const deviation = MAD_TO_SIGMA * weightedMedian(away, weights);
  const limit = Math.max(config.outlier_deviations * deviation, config.outlier_cards);
  const kept = toDoubles(weights, (weight, i) => (away[i] > limit ? 0 : weight)); // without outliers
  const cards = clip(weightedMidmean(values, kept, order), 1, MAX_CARDS);
  const count = sum(toDoubles(away, (distance) => (distance > limit ? 0 : 1)));
  const [low, high] = bounds(interval, cards, count);
  return { cards, low, high, frames: count };
}

/** `fuse` over the frames so far, and whether it has settled: it and its interval stopped changing. */
export class RunningCount {
  constructor(config, interval) {
    Object.assign(this, { config, interval, frames: [], recent: [], used: 0 });
  }

  add(frame) {
    this.frames.push({ cards: frame.cards, std: frame.std, flag: frame.flag });
    if (this.frames.length > RunningCount.MOST) this.frames.shift();
    const count = fuse(this.frames, this.config, this.interval);
    if (count.frames !== this.used) {
      this.used = count.frames;
      this.recent.push([count.cards, count.low, count.high]);
      if (this.recent.length > SETTLE_FRAMES) this.recent.shift();
    }
    return { ...count, settled: this.settled() };
  }

  settled() {
    if (this.recent.length < SETTLE_FRAMES) return false;
    return [0, 1, 2].every((column) => {
      const values = this.recent.map((row) => row[column]);
      return !(Math.max(...values) - Math.min(...values) > SETTLE_CARDS); // NaN without an interval
    });
  }
}
/** A camera that is left on would otherwise fill the memory: after so many frames the oldest leave. */
RunningCount.MOST = 1000;
