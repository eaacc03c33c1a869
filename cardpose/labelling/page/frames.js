// The order of the frames; prefetches the next ones.

import {ask, picture} from "./api.js";
import {Frame} from "./frame.js";

const AHEAD = 3; // frames prefetched
const BEHIND = 1;
const KEPT = 100; // changed frames whose undo history is kept

export class Frames {
  /** session: response of GET /api/session; changed(frame): as for Frame. */
  constructor(session, changed) {
    this.list = session.frames.map(([video, index, state]) => ({video, index, state}));
    this.order = this.list.map((_, number) => number);
    this.follow = session.model && !session.ordered;
    this.changed = changed;
    this.near = new Map(); // number -> {frame, bitmap}: promises, for the frames around the current one
    this.kept = new Map(); // number -> Frame: changed frames, for undo
  }

  get done() {
    return this.list.filter(({state}) => state === "done").length;
  }

  position(number) {
    return this.order.indexOf(number);
  }

  /** Sort by the model's uncertainty, the largest first; frames not predicted yet are last. */
  sort(uncertainties) {
    if (!this.follow) return;
    this.order.sort((a, b) => (uncertainties[b] ?? -1) - (uncertainties[a] ?? -1) || a - b);
  }

  /** The frame `step` positions further; null beyond the ends. */
  beside(number, step) {
    return this.order[this.position(number) + step] ?? null;
  }

  /** The next unlabelled frame in the order, wrapping around; null if all are labelled. */
  unlabelled(number, wanted = () => true) {
    const from = number === null ? 0 : this.position(number) + 1;
    const round = [...this.order.slice(from), ...this.order.slice(0, from)];
    return round.find((other) => other !== number && this.list[other].state !== "done" && wanted(other)) ?? null;
  }

  /** A frame and its picture; prefetches the neighbours and releases the others. */
  async show(number) {
    const shown = await this.fetch(number);
    const at = this.position(number);
    const around = new Set(this.order.slice(Math.max(0, at - BEHIND), at + AHEAD + 1));
    const unlabelled = this.unlabelled(number);
    if (unlabelled !== null) around.add(unlabelled);
    for (const [other, {bitmap}] of this.near) {
      if (!around.has(other)) {
        this.near.delete(other);
        bitmap.then((image) => image.close()).catch(() => {});
      }
    }
    for (const other of around) this.fetch(other).catch(() => {});
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
    const response = await ask("GET", `/api/frames/${number}`);
    return new Frame(number, response, (frame) => {
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

  /** Fetch a frame again, as another tab may have changed it. */
  async refresh(frame) {
    await frame.refresh();
    this.list[frame.number].state = frame.state;
    this.changed(frame);
  }

  get unsaved() {
    return [...this.kept.values()].filter((frame) => frame.unsaved);
  }
}
