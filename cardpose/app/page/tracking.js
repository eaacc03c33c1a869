// Corners smoothed over time for display, as cardpose/prediction/tracking.py: the 1 euro filter of Casiez et al. 2012.

const MIN_CUTOFF = 1, BETA = 80, DERIVATIVE_CUTOFF = 1; // Hz, Hz per frame side and second, Hz
const HOLD = 0.5; // seconds

const gain = (cutoff, step) => 1 / (1 + 1 / (2 * Math.PI * cutoff * step));

class OneEuroFilter {
  next(point, time) {
    if (this.time === undefined) {
      this.point = point;
      this.speed = [0, 0];
    } else if (time > this.time) {
      const step = time - this.time, smooth = gain(DERIVATIVE_CUTOFF, step);
      this.speed = this.speed.map((old, j) => old + smooth * ((point[j] - this.point[j]) / step - old));
      const move = gain(MIN_CUTOFF + BETA * Math.hypot(...this.speed), step);
      this.point = this.point.map((old, j) => old + move * (point[j] - old));
    }
    this.time = time;
    return this.point;
  }
}

export class CornerTracker {
  constructor(side) {
    this.side = side;
    this.corners = Array.from({ length: 8 }, () => ({ filter: new OneEuroFilter(), seen: -Infinity, at: [NaN, NaN] }));
  }

  /** Add corners [8][2], NaN where not found, at `time` seconds; the smoothed ones, NaN where lost. */
  next(corners, time) {
    return this.corners.map((own, i) => {
      const lost = time - own.seen > HOLD;
      if (lost) own.at = [NaN, NaN];
      if (corners[i].every(Number.isFinite)) {
        if (lost) own.filter = new OneEuroFilter();
        own.at = own.filter.next(corners[i].map((value) => value / this.side), time).map((value) => value * this.side);
        own.seen = time;
      }
      return own.at;
    });
  }

  /** The fastest corner, in longer sides of the frame a second. */
  speed() {
    return Math.max(0, ...this.corners.map(({ filter }) => (filter.speed ? Math.hypot(...filter.speed) : 0)));
  }
}
