// The marks of one frame: changes, undo, redo, and saving, one request at a time.

import {ask, Refused} from "./api.js";

const NUDGE_GROUP_MS = 800; // nudges in quick succession are one step of undo
const RETRY_MS = 1000;

export const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

export class Frame {
  /** response: of GET /api/frames/N; changed(frame): called after each change and each response. */
  constructor(number, response, changed) {
    this.number = number;
    this.changed = changed;
    this.past = [];
    this.future = [];
    this.conflict = false;
    this.trouble = "";
    this.saving = false;
    this.sending = false;
    this.version = 0;
    this.unanswered = []; // marks that were sent without a response: they may be saved
    this.take(response);
  }

  /** Fetch the frame again; ignored if it was changed or saved here in the meantime. */
  async refresh() {
    const before = this.version;
    const response = await ask("GET", `/api/frames/${this.number}`);
    if (this.version === before && !this.unsaved) this.take(response);
  }

  take(response) {
    if (this.marks !== undefined && !same(this.marks, response.marks)) this.past = this.future = [];
    this.marks = response.marks;
    this.saved = response.marks;
    this.width = response.width;
    this.height = response.height;
    this.proposal = response.proposal;
    this.uncertainty = response.uncertainty;
    this.describe(response);
  }

  describe(response) {
    this.revision = response.revision;
    this.checked = {marks: this.saved, box: response.box, hidden: response.hidden, outlier: response.outlier, warning: response.warning};
  }

  /** Whether a request is pending or the marks differ from the saved ones. */
  get unsaved() {
    if (this.saved === undefined) return false;
    return this.sending || this.unanswered.length > 0 || !same(this.marks, this.saved);
  }

  get state() {
    const decided = this.marks.filter((mark) => mark !== null).length;
    return decided === 0 ? "empty" : decided === this.marks.length ? "done" : "draft";
  }

  /** The check of the saved marks; during a drag it is briefly out of date. */
  get check() {
    return this.checked;
  }

  /** Change the marks and save; quick nudges of one corner are one step of undo. */
  change(marks, nudged = null) {
    if (same(marks, this.marks)) return;
    const together = nudged !== null && this.nudged === nudged && Date.now() - this.nudgedAt < NUDGE_GROUP_MS;
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

  /** Send the marks until the latest ones are saved; retries after a failure. */
  async save() {
    if (this.saving || this.conflict) return;
    this.saving = true;
    while (this.unsaved && !this.conflict) {
      const marks = this.marks;
      try {
        this.sending = true;
        const response = await ask("PUT", `/api/frames/${this.number}`, {marks, revision: this.revision});
        this.sending = false;
        this.version += 1;
        this.saved = marks;
        this.unanswered = [];
        this.describe(response);
        this.trouble = response.problem ? `Saved, but: ${response.problem}` : "";
      } catch (error) {
        this.sending = false;
        if (error instanceof Refused && error.status === 409) {
          this.conflict = !(await this.wasMine().catch(() => true));
        } else {
          this.unanswered.push(marks);
          this.trouble = error instanceof Refused ? error.message : "no response from the server";
          this.changed(this);
          await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        }
      }
      this.changed(this);
    }
    this.saving = false;
  }

  /** Whether a conflict is with an own request that was saved but not answered. */
  async wasMine() {
    const response = await ask("GET", `/api/frames/${this.number}`);
    if (!this.unanswered.some((marks) => same(marks, response.marks))) return false;
    this.version += 1;
    this.saved = response.marks;
    this.unanswered = [];
    this.describe(response);
    return true;
  }

  /** Resolve a conflict: keep these marks, or take those of the other tab. */
  async settle(mine) {
    const response = await ask("GET", `/api/frames/${this.number}`);
    this.conflict = false;
    this.version += 1;
    this.saved = response.marks;
    this.unanswered = [];
    this.describe(response);
    if (!mine) {
      this.past = [...this.past, this.marks];
      this.marks = response.marks;
    }
    this.changed(this);
    await this.save();
  }
}
