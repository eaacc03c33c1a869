// Which frame comes when, and the next ones fetched before they are asked for.

import {ask, picture} from "./api.js";
import {Frame} from "./frame.js";

const AHEAD = 3;
const BEHIND = 1;
const KEPT = 100; // frames whose undo is remembered

export class Frames {
  /** session: the server's answer; changed(frame): as for Frame. */
  constructor(session, changed) {
    this.list = session.frames.map(([video, index, state]) => ({video, index, state}));
    this.order = this.list.map((_, number) => number);
    this.follow = session.model && !session.ordered;
    this.changed = changed;
    this.near = new Map(); // number -> {frame, bitmap}: promises of the frames about the current one
    this.kept = new Map(); // number -> Frame: those that were touched, for their undo
  }

  get done() {
    return this.list.filter(({state}) => state === "done").length;
  }

  position(number) {
    return this.order.indexOf(number);
  }

  /** The frames of which the model is least sure come first; those it has not seen yet last. */
  sort(doubts) {
    if (!this.follow) return;
    this.order.sort((a, b) => (doubts[b] ?? -1) - (doubts[a] ?? -1) || a - b);
  }

  /** The frame `step` places on; null past the ends. */
  beside(number, step) {
    return this.order[this.position(number) + step] ?? null;
  }

  /** The next frame in the order, from the start again, that is no label yet; null where all are. */
  unlabelled(number, wanted = () => true) {
    const from = number === null ? 0 : this.position(number) + 1;
    const round = [...this.order.slice(from), ...this.order.slice(0, from)];
    return round.find((other) => other !== number && this.list[other].state !== "done" && wanted(other)) ?? null;
  }

  /** A frame and its picture; those that come next are fetched meanwhile, those far away are let go. */
  async show(number) {
    const shown = await this.fetch(number);
    const at = this.position(number);
    const about = new Set(this.order.slice(Math.max(0, at - BEHIND), at + AHEAD + 1));
    const unlabelled = this.unlabelled(number);
    if (unlabelled !== null) about.add(unlabelled);
    for (const [other, {bitmap}] of this.near) {
      if (!about.has(other)) {
        this.near.delete(other);
        bitmap.then((image) => image.close()).catch(() => {});
      }
    }
    for (const other of about) this.fetch(other).catch(() => {});
    return shown;
  }

  async fetch(number) {
    if (!this.near.has(number)) {
      const entry = {frame: this.frame(number), bitmap: picture(number)};
      this.near.set(number, entry);
      Promise.all([entry.frame, entry.bitmap]).catch(() => this.near.delete(number));
    }
    const {frame, bitmap} = this.near.get(number);
    return {frame: await frame, bitmap: await bitmap};
  }

  async frame(number) {
    const kept = this.kept.get(number);
    if (kept) {
      await kept.refresh();
      return kept;
    }
    const said = await ask("GET", `/api/frames/${number}`);
    return new Frame(number, said, (frame) => {
      this.keep(frame);
      this.list[number].state = frame.state;
      this.changed(frame);
    });
  }

  keep(frame) {
    this.kept.delete(frame.number);
    this.kept.set(frame.number, frame);
    const [oldest] = this.kept.values();
    if (this.kept.size > KEPT && !oldest.unsaved) this.kept.delete(oldest.number);
  }

  /** Ask again what another tab may have changed. */
  async refresh(frame) {
    await frame.refresh();
    this.list[frame.number].state = frame.state;
    this.changed(frame);
  }

  get unsaved() {
    return [...this.kept.values()].filter((frame) => frame.unsaved);
  }
}
