// The texts and buttons around the picture: frame, corners, saving.

import {VISIBLE, words} from "./marking.js";
import {placed} from "./view.js";

const $ = (id) => document.getElementById(id);
const STATES = {empty: "not labelled", draft: "incomplete", done: "labelled"};
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** The label of a corner in two letters: upper or lower, left or right. */
export const letters = (name) => name.split("_").slice(0, 2).map((word) => word[0].toUpperCase()).join("");

export class Panel {
  /** choose(corner): called on a click on a corner's button. */
  constructor(session, frames, marking, view, choose) {
    Object.assign(this, {session, frames, marking, view});
    this.notice = "";
    marking.asked.forEach((corner, place) => $("corners").append(this.cornerButton(corner, place, choose)));
    session.videos.forEach(({file}, number) => {
      const count = frames.list.filter(({video}) => video === number).length;
      if (count) $("videos").append(new Option(`${file} (${count})`, number));
    });
  }

  cornerButton(corner, place, choose) {
    const name = this.session.corners[corner];
    const button = document.createElement("button");
    const [sign, text] = [document.createElement("span"), document.createElement("span")];
    Object.assign(button, {type: "button", title: `${place + 1}`, className: name.split("_")[2]});
    Object.assign(sign, {className: "sign", ariaHidden: "true", textContent: letters(name)});
    text.append(words(name), document.createElement("small"));
    button.append(sign, text);
    button.dataset.number = corner;
    button.addEventListener("click", () => choose(corner));
    return button;
  }

  /** Show a message until the next action; "" shows what to do next. */
  notify(text) {
    this.notice = text;
    const {marking} = this;
    $("prompt").textContent = text || (marking.frame && marking.chosen !== null ? this.prompt() : "");
  }

  prompt() {
    const {chosen, frame, seen} = this.marking;
    const name = words(this.session.corners[chosen]);
    if (frame.proposal && frame.state === "empty") return "Accept these corners (Enter), or drag the wrong ones";
    if (frame.marks[chosen] !== null) return `${name}: click to move it`;
    return `Click the ${name}${seen === VISIBLE ? "" : ", hidden"}`;
  }

  /** Update everything. */
  update() {
    const {frame, marks, chosen} = this.marking;
    if (!frame) return;
    const {list, done} = this.frames;
    const {video, index} = list[frame.number];
    const fresh = same(frame.check.marks, marks); // the check of a change arrives with the server's response
    this.view.mark(marks, this.marking.guesses(), chosen, fresh ? frame.check.outlier : null);
    if (fresh) $("warning").textContent = frame.check.warning;
    $("video").textContent = this.session.videos[video].file;
    $("frame").textContent = `frame ${index}`;
    $("state").textContent = STATES[frame.state];
    $("videos").value = video;
    if (document.activeElement !== $("cards")) $("cards").value = this.session.videos[video].cards ?? "";
    if (document.activeElement !== $("position")) $("position").value = this.frames.position(frame.number) + 1;
    $("position").max = list.length;
    $("of").textContent = `of ${list.length}`;
    $("progress").max = list.length;
    $("progress").value = done;
    $("progress-text").textContent = `${done} of ${list.length} labelled`;
    this.updateCorners();
    this.updateButtons();
    this.updateSaving();
    this.notify(this.notice);
  }

  updateCorners() {
    const guesses = this.marking.guesses();
    for (const button of $("corners").children) {
      const corner = Number(button.dataset.number);
      const mark = this.marking.marks[corner];
      const seen = mark === null ? "" : mark[2];
      const text = {"": guesses[corner] ? "proposed" : "not placed", 0: "absent", 1: "hidden", 2: "visible"}[seen];
      const where = placed(mark) ? ` ${mark[0].toFixed(1)}, ${mark[1].toFixed(1)}` : "";
      button.dataset.seen = seen;
      button.setAttribute("aria-pressed", corner === this.marking.chosen);
      button.setAttribute("aria-label", `${words(this.session.corners[corner])}, ${text}${where}`);
      button.querySelector("small").textContent = text + where;
    }
  }

  updateButtons() {
    const {frame, chosen} = this.marking;
    const mark = chosen === null ? null : frame.marks[chosen];
    for (const button of $("seen").children) {
      const means = button.dataset.seen;
      button.disabled = chosen === null || (means === "" && mark === null);
      const seen = chosen === null ? null : mark === null ? this.marking.seen : mark[2];
      if (means !== "") button.setAttribute("aria-pressed", Number(means) === seen);
    }
    $("undo").disabled = frame.past.length === 0;
    $("redo").disabled = frame.future.length === 0;
    $("previous").disabled = this.frames.beside(frame.number, -1) === null;
    $("next").disabled = this.frames.beside(frame.number, 1) === null;
    $("accept").textContent = frame.proposal && this.marking.open() !== null ? "Accept, next" : "Next to label";
  }

  updateSaving() {
    const open = this.frames.unsaved;
    const failed = open.map(({trouble}) => trouble).find(Boolean);
    const behind = this.session.problem && `Saved, but not in annotations.json yet: ${this.session.problem}`;
    $("saving").textContent = failed ? `Not saved: ${failed}` : open.length ? "Saving" : behind || "Saved";
    $("saving").classList.toggle("failing", Boolean(failed || behind));
    const conflict = [...this.frames.kept.values()].find((frame) => frame.conflict);
    $("banner").hidden = !conflict;
    if (conflict && this.conflict !== conflict) this.askConflict(conflict);
    this.conflict = conflict;
  }

  askConflict(frame) {
    const {video, index} = this.frames.list[frame.number];
    const what = `${this.session.videos[video].file} frame ${index}`;
    $("banner-text").textContent = `${what} was changed in another tab or window. Your change is not saved.`;
    const choice = (text, mine) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = text;
      button.addEventListener("click", () => frame.settle(mine).catch((error) => this.notify(error.message)));
      return button;
    };
    $("banner-buttons").replaceChildren(choice("Take the other one", false), choice("Keep mine", true));
  }
}
