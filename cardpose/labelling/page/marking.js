// What a person does to the corners of the current frame.

import {placed} from "./view.js";

export const ABSENT = [0, 0, 0];
export const HIDDEN = 1;
export const VISIBLE = 2;

/** Corners in the order in which they are asked for: about the back, then back along the face. */
const ASKED = [
  "upper_left_back", "upper_right_back", "lower_right_back", "lower_left_back",
  "lower_left_face", "lower_right_face", "upper_right_face", "upper_left_face",
];

export const words = (name) => name.replaceAll("_", " ");

export class Marking {
  constructor(corners) {
    this.corners = corners;
    this.asked = ASKED.map((name) => corners.indexOf(name));
    this.frame = null;
    this.chosen = null;
    this.seen = VISIBLE; // of the corner that is placed next
    this.dragged = null;
  }

  begin(frame) {
    this.frame = frame;
    this.seen = VISIBLE;
    this.chosen = this.open();
  }

  /** The marks, with a corner that is being dragged where it is now. */
  get marks() {
    return this.dragged ?? this.frame.marks;
  }

  /** The first corner that is not decided; null where all are. */
  open() {
    return this.asked.find((corner) => this.frame.marks[corner] === null) ?? null;
  }

  /** Where an undecided corner may be: as the model says, else where the box of the others has it. */
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

  /** Place the chosen corner; the next one is asked for. */
  place(x, y, asHidden) {
    const corner = this.chosen;
    if (corner === null) return;
    const seen = asHidden ? HIDDEN : placed(this.frame.marks[corner]) ? this.frame.marks[corner][2] : this.seen;
    this.frame.change(this.with(corner, [...this.within(x, y), seen]));
    this.choose(this.open());
  }

  /** A click on a corner: a thin packet's two lie so close that it mostly means the one that is asked for. */
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

  /** Visible, hidden, absent, or (null) not decided again. */
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
      this.seen = seen; // it is placed so with the next click
    }
  }

  /** Undo (-1) or redo (1). */
  go(way) {
    if (way < 0) this.frame.undo();
    else this.frame.redo();
    if (this.chosen === null || this.frame.marks[this.chosen] !== null) this.choose(this.open());
  }

  /** Take the guesses for what is not decided, from the model or (complete) the box; how many are still open. */
  accept() {
    const guesses = this.guesses();
    this.frame.change(this.frame.marks.map((mark, i) => mark ?? guesses[i]));
    this.chosen = this.open();
    return this.frame.marks.filter((mark) => mark === null).length;
  }
}
