// Edits of the corners of the current frame.

import {placed} from "./view.js";

export const ABSENT = [0, 0, 0];
export const HIDDEN = 1;
export const VISIBLE = 2;

/** The order of labelling: around the back, then around the face. */
const ORDER = [
  "upper_left_back", "upper_right_back", "lower_right_back", "lower_left_back",
  "lower_left_face", "lower_right_face", "upper_right_face", "upper_left_face",
];

export const words = (name) => name.replaceAll("_", " ");

export class Marking {
  constructor(corners) {
    this.corners = corners;
    this.asked = ORDER.map((name) => corners.indexOf(name));
    this.frame = null;
    this.chosen = null;
    this.seen = VISIBLE; // visibility of the corner placed next
    this.dragged = null;
  }

  begin(frame) {
    this.frame = frame;
    this.seen = VISIBLE;
    this.chosen = this.open();
  }

  /** The marks, with a dragged corner at its current position. */
  get marks() {
    return this.dragged ?? this.frame.marks;
  }

  /** The first undecided corner; null if all are decided. */
  open() {
    return this.asked.find((corner) => this.frame.marks[corner] === null) ?? null;
  }

  /** Expected positions of undecided corners: from the model, else from the fitted box. */
  guesses() {
    const {proposal, check, width, height} = this.frame;
    return this.corners.map((_, i) => {
      if (proposal) return proposal[i];
      if (!check.box) return null;
      const [x, y] = check.box[i];
      const inside = x >= -0.5 && y >= -0.5 && x <= width - 0.5 && y <= height - 0.5;
      return inside ? [x, y, check.hidden[i] ? HIDDEN : VISIBLE] : null;
    });
  }

  choose(corner) {
    this.chosen = corner;
    this.seen = VISIBLE;
  }

  within(x, y) {
    const inside = (value, size) => Math.round(Math.min(size - 0.5, Math.max(-0.5, value)) * 100) / 100;
    return [inside(x, this.frame.width), inside(y, this.frame.height)];
  }

  with(corner, mark) {
    return this.frame.marks.map((old, i) => (i === corner ? mark : old));
  }

  /** Place the chosen corner and choose the next one. */
  place(x, y, asHidden) {
    const corner = this.chosen;
    if (corner === null) return;
    const seen = asHidden ? HIDDEN : placed(this.frame.marks[corner]) ? this.frame.marks[corner][2] : this.seen;
    this.frame.change(this.with(corner, [...this.within(x, y), seen]));
    this.choose(this.open());
  }

  /** A click on a corner. In a thin packet two are so close that it usually means the chosen one. */
  touch(corner, x, y, asHidden) {
    const {marks, proposal} = this.frame;
    const asked = this.chosen !== null && marks[this.chosen] === null;
    const proposed = marks[corner] === null && proposal;
    if (asked && (corner === this.chosen || !proposed)) this.place(x, y, asHidden);
    else this.choose(corner);
  }

  drag(corner, x, y) {
    const old = this.frame.marks[corner] ?? this.guesses()[corner];
    this.dragged = this.with(corner, [...this.within(x, y), old[2]]);
  }

  drop() {
    const marks = this.dragged;
    this.dragged = null;
    if (marks !== null) this.frame.change(marks);
  }

  nudge(dx, dy) {
    const mark = this.chosen === null ? null : this.frame.marks[this.chosen];
    if (!placed(mark)) return null;
    const moved = [...this.within(mark[0] + dx, mark[1] + dy), mark[2]];
    this.frame.change(this.with(this.chosen, moved), this.chosen);
    return moved;
  }

  /** Set the visibility: 2 visible, 1 hidden, 0 absent, null undecided. */
  see(seen) {
    const corner = this.chosen;
    if (corner === null) return;
    const mark = this.frame.marks[corner];
    if (seen === 0) {
      this.frame.change(this.with(corner, ABSENT));
      this.choose(this.open());
    } else if (seen === null) {
      this.frame.change(this.with(corner, null));
    } else if (placed(mark)) {
      this.frame.change(this.with(corner, [mark[0], mark[1], seen]));
    } else {
      this.seen = seen; // used by the next click
    }
  }

  /** Undo (-1) or redo (1). */
  go(way) {
    if (way < 0) this.frame.undo();
    else this.frame.redo();
    if (this.chosen === null || this.frame.marks[this.chosen] !== null) this.choose(this.open());
  }

  /** Accept the expected positions of undecided corners; returns the number still undecided. */
  accept() {
    const guesses = this.guesses();
    this.frame.change(this.frame.marks.map((mark, i) => mark ?? guesses[i]));
    this.chosen = this.open();
    return this.frame.marks.filter((mark) => mark === null).length;
  }
}
