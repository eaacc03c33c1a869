// One frame's marks as the person changes them: undo, redo, and saving, one request at a time.

import {ask, Refused} from "./api.js";

const NUDGES_TOGETHER_MS = 800;
const RETRY_MS = 1000;

export const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

export class Frame {
  /** said: the server's answer; changed(frame): called after each change and each word from the server. */
  constructor(number, said, changed) {
    this.number = number;
    this.changed = changed;
    this.past = [];
    this.future = [];
    this.conflict = false;
    this.trouble = "";
    this.saving = false;
    this.sending = false;
    this.version = 0;
    this.unanswered = []; // marks that were sent, and nobody knows whether they are saved
    this.take(said);
  }

  /** Ask the server again; its word counts only where nothing was changed or saved here meanwhile. */
  async refresh() {
    const before = this.version;
    const said = await ask("GET", `/api/frames/${this.number}`);
    if (this.version === before && !this.unsaved) this.take(said);
  }

  take(said) {
    if (this.marks !== undefined && !same(this.marks, said.marks)) this.past = this.future = [];
    this.marks = said.marks;
    this.saved = said.marks;
    this.width = said.width;
    this.height = said.height;
    this.proposal = said.proposal;
    this.doubt = said.doubt;
    this.describe(said);
  }

  describe(said) {
    this.revision = said.revision;
    this.checked = {marks: this.saved, box: said.box, hidden: said.hidden, blamed: said.blamed, warning: said.warning};
  }

  /** What is under way may still replace what is saved, also where the marks are those again. */
  get unsaved() {
    if (this.saved === undefined) return false;
    return this.sending || this.unanswered.length > 0 || !same(this.marks, this.saved);
  }

  get state() {
    const decided = this.marks.filter((mark) => mark !== null).length;
    return decided === 0 ? "empty" : decided === this.marks.length ? "done" : "draft";
  }

  /** The fitted box: of the marks as they are saved, so it may lag behind a drag by a moment. */
  get check() {
    return this.checked;
  }

  /** Change the marks and save. Nudges of one corner in quick succession are undone together. */
  change(marks, nudged = null) {
    if (same(marks, this.marks)) return;
    const together = nudged !== null && this.nudged === nudged && Date.now() - this.nudgedAt < NUDGES_TOGETHER_MS;
    if (!together) this.past = [...this.past, this.marks];
    this.future = [];
    this.nudged = nudged;
    this.nudgedAt = Date.now();
    this.set(marks);
  }

  undo() {
    if (this.past.length === 0) return;
    this.future = [...this.future, this.marks];
    const marks = this.past.at(-1);
    this.past = this.past.slice(0, -1);
    this.nudged = null;
    this.set(marks);
  }

  redo() {
    if (this.future.length === 0) return;
    this.past = [...this.past, this.marks];
    const marks = this.future.at(-1);
    this.future = this.future.slice(0, -1);
    this.nudged = null;
    this.set(marks);
  }

  set(marks) {
    this.version += 1;
    this.marks = marks;
    this.changed(this);
    this.save();
  }

  /** Send the marks until the server has the last ones; what it cannot be told now is told again. */
  async save() {
    if (this.saving || this.conflict) return;
    this.saving = true;
    while (this.unsaved && !this.conflict) {
      const marks = this.marks;
      try {
        this.sending = true;
        const said = await ask("PUT", `/api/frames/${this.number}`, {marks, revision: this.revision});
        this.sending = false;
        this.version += 1;
        this.saved = marks;
        this.unanswered = [];
        this.describe(said);
        this.trouble = said.problem ? `Saved, but: ${said.problem}` : "";
      } catch (error) {
        this.sending = false;
        if (error instanceof Refused && error.status === 409) {
          this.conflict = !(await this.wasMine().catch(() => true));
        } else {
          this.unanswered.push(marks);
          this.trouble = error instanceof Refused ? error.message : "the server does not answer";
          this.changed(this);
          await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        }
      }
      this.changed(this);
    }
    this.saving = false;
  }

  /** Whether the server has what was sent from here before it went away without an answer. */
  async wasMine() {
    const said = await ask("GET", `/api/frames/${this.number}`);
    if (!this.unanswered.some((marks) => same(marks, said.marks))) return false;
    this.version += 1;
    this.saved = said.marks;
    this.unanswered = [];
    this.describe(said);
    return true;
  }

  /** After a conflict: keep these marks over the other tab's, or take those. */
  async settle(mine) {
    const said = await ask("GET", `/api/frames/${this.number}`);
    this.conflict = false;
    this.version += 1;
    this.saved = said.marks;
    this.unanswered = [];
    this.describe(said);
    if (!mine) {
      this.past = [...this.past, this.marks];
      this.marks = said.marks;
    }
    this.changed(this);
    await this.save();
  }
}
