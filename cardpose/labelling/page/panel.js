// What the page says of the frame, its corners and the saving, beside the picture and below it.

import {VISIBLE, words} from "./marking.js";
import {placed} from "./view.js";

const $ = (id) => document.getElementById(id);
const STATES = {empty: "not labelled", draft: "begun", done: "labelled"};
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** Two letters for a corner: upper or lower, left or right. */
export const letters = (name) => name.split("_").slice(0, 2).map((word) => word[0].toUpperCase()).join("");

export class Panel {
  /** choose(corner): what a click on a corner's button does. */
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

  /** Say something until the person does something; "" says what is to be done. */
  say(text) {
    this.notice = text;
    const {marking} = this;
    $("prompt").textContent = text || (marking.frame && marking.chosen !== null ? this.prompt() : "");
  }

  prompt() {
    const {chosen, frame, seen} = this.marking;
    const name = words(this.session.corners[chosen]);
    if (frame.proposal && frame.state === "empty") return "Accept these corners (Enter), or drag what is wrong";
    if (frame.marks[chosen] !== null) return `${name}: click to place it anew`;
    return `Click the ${name}${seen === VISIBLE ? "" : ", hidden"}`;
  }

  /** Show everything as it is now. */
  tell() {
    const {frame, marks, chosen} = this.marking;
    if (!frame) return;
    const {list, done} = this.frames;
    const {video, index} = list[frame.number];
    const fresh = same(frame.check.marks, marks); // the check of a change comes with the server's answer
    this.view.mark(marks, this.marking.guesses(), chosen, fresh ? frame.check.blamed : null);
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
    this.tellCorners();
    this.tellButtons();
    this.tellSaving();
    this.say(this.notice);
  }

  tellCorners() {
    const guesses = this.marking.guesses();
    for (const button of $("corners").children) {
      const corner = Number(button.dataset.number);
      const mark = this.marking.marks[corner];
      const seen = mark === null ? "" : mark[2];
      const said = {"": guesses[corner] ? "proposed" : "not placed", 0: "absent", 1: "hidden", 2: "visible"}[seen];
      const where = placed(mark) ? ` ${mark[0].toFixed(1)}, ${mark[1].toFixed(1)}` : "";
      button.dataset.seen = seen;
      button.setAttribute("aria-pressed", corner === this.marking.chosen);
      button.setAttribute("aria-label", `${words(this.session.corners[corner])}, ${said}${where}`);
      button.querySelector("small").textContent = said + where;
    }
  }

  tellButtons() {
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

  tellSaving() {
    const open = this.frames.unsaved;
    const hindered = open.map(({trouble}) => trouble).find(Boolean);
    const behind = this.session.problem && `Saved, but not in annotations.json yet: ${this.session.problem}`;
    $("saving").textContent = hindered ? `Not saved: ${hindered}` : open.length ? "Saving" : behind || "Saved";
    $("saving").classList.toggle("failing", Boolean(hindered || behind));
    const conflict = [...this.frames.kept.values()].find((frame) => frame.conflict);
    $("banner").hidden = !conflict;
    if (conflict && this.conflict !== conflict) this.askWhose(conflict);
    this.conflict = conflict;
  }

  askWhose(frame) {
    const {video, index} = this.frames.list[frame.number];
    const what = `${this.session.videos[video].file} frame ${index}`;
    $("banner-text").textContent = `${what} was changed in another tab or window. Your change is not saved.`;
    const choice = (text, mine) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = text;
      button.addEventListener("click", () => frame.settle(mine).catch((error) => this.say(error.message)));
      return button;
    };
    $("banner-buttons").replaceChildren(choice("Take the other one", false), choice("Keep mine", true));
  }
}
