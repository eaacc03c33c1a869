// The labelling page: navigation, buttons, keys and messages.

import {ask, Refused} from "./api.js";
import {Frames} from "./frames.js";
import {Marking} from "./marking.js";
import {letters, Panel} from "./panel.js";
import {listen} from "./pointer.js";
import {placed, View} from "./view.js";

const POLL_MS = 3000;
const NUDGE = 0.1;
const $ = (id) => document.getElementById(id);

const session = await ask("GET", "/api/session");
const marking = new Marking(session.corners);
const view = new View($("stage"), session.corners, session.edges, session.corners.map(letters));
const frames = new Frames(session, () => panel.update());
const panel = new Panel(session, frames, marking, view, (corner) => act(() => marking.choose(corner))());
let requested = null; // the frame being loaded
let magnifier = true;

// ---- Navigation

async function go(number) {
  if (number === null) return;
  requested = number;
  let shown;
  try {
    shown = await frames.show(number);
  } catch (error) {
    if (requested === number) notify(`This frame cannot be shown: ${error.message}`);
    return;
  }
  if (requested !== number) return; // another frame was requested meanwhile
  const {frame, bitmap} = shown;
  const video = marking.frame && frames.list[marking.frame.number].video;
  marking.begin(frame);
  view.show(bitmap, video === frames.list[number].video);
  history.replaceState(null, "", `#${number}`);
  const wrong = bitmap.width !== frame.width || bitmap.height !== frame.height;
  notify(wrong ? `The picture is ${bitmap.width}x${bitmap.height}, its label says ${frame.width}x${frame.height}.` : "");
  panel.update();
  frames.refresh(frame).catch(() => {}); // another tab may have changed it since
  performance.mark(`frame ${number}`);
}

const notify = (text) => panel.notify(text);
const step = (by) => marking.frame && go(frames.beside(marking.frame.number, by));

function goUnlabelled() {
  const number = frames.unlabelled(marking.frame?.number ?? null);
  if (number === null) notify("All frames are labelled.");
  else go(number);
}

/** Enter: accept the proposals; once every corner is decided, go to the next frame. */
function accept() {
  if (marking.frame.proposal) marking.accept();
  const left = marking.frame.marks.filter((mark) => mark === null).length;
  if (left === 0) goUnlabelled();
  else notify(`${left} corners left: click, or press X for a corner outside the picture.`);
}

async function copyPrevious() {
  const {frame} = marking;
  try {
    const {marks, frame_index: index} = await ask("GET", `/api/frames/${frame.number}/previous`);
    frame.change(marks);
    if (frame !== marking.frame) return;
    marking.choose(marking.open());
    notify(`Copied from frame ${index}.`);
  } catch (error) {
    notify(error.message);
  }
  panel.update();
}

function complete() {
  const {frame} = marking;
  if (marking.open() === null) notify("All corners are decided.");
  else if (!frame.proposal && !frame.check.box) notify("Place more corners: four, on both surfaces, determine the box.");
  else if (marking.accept()) notify("The other corners are outside the picture: press X for each.");
}

// ---- Actions

/** Wrap an action of the user: clears the message and updates the page. */
function act(what) {
  return (...given) => {
    if (!marking.frame) return;
    panel.notice = "";
    what(...given);
    panel.update();
  };
}

listen(view, {
  choose: act((corner) => marking.choose(corner)),
  place: act((x, y, asHidden) => marking.place(x, y, asHidden)),
  touch: act((corner, x, y, asHidden) => marking.touch(corner, x, y, asHidden)),
  drag: act((corner, x, y) => marking.drag(corner, x, y)),
  drop: act(() => marking.drop()),
  where: (corner) => marking.marks[corner] ?? marking.guesses()[corner],
  awaits: () => marking.frame !== null && marking.chosen !== null,
  magnifier: () => magnifier,
});

function placeByKey() {
  const {chosen, frame} = marking;
  if (chosen === null) return;
  const guess = marking.guesses()[chosen];
  const middle = view.toPicture(view.stage.clientWidth / 2, view.stage.clientHeight / 2);
  const [x, y] = frame.marks[chosen] === null && guess ? guess : middle;
  const corner = chosen;
  marking.place(x, y, guess?.[2] === 1);
  marking.choose(corner); // so that it can be nudged
}

function nudge(event, dx, dy) {
  const pixels = event.ctrlKey || event.altKey || event.metaKey ? 100 * NUDGE : event.shiftKey ? 10 * NUDGE : NUDGE;
  const moved = marking.nudge(dx * pixels, dy * pixels);
  if (moved) view.reveal(moved[0], moved[1]);
}

const undo = () => marking.go(-1);
const redo = () => marking.go(1);

function zoomToPacket() {
  const guesses = marking.guesses();
  const points = marking.marks.map((mark, i) => mark ?? guesses[i]).filter(placed);
  if (points.length > 1) view.fitTo(points);
  else view.fit();
}

const zoomBy = (factor) => view.zoom(factor, view.stage.clientWidth / 2, view.stage.clientHeight / 2);

const KEYS = {
  Enter: accept,
  " ": placeByKey,
  v: () => marking.see(2),
  h: () => marking.see(1),
  x: () => marking.see(0),
  Delete: () => marking.see(null),
  Backspace: () => marking.see(null),
  b: complete,
  c: copyPrevious,
  n: () => step(1),
  PageDown: () => step(1),
  p: () => step(-1),
  PageUp: () => step(-1),
  u: goUnlabelled,
  m: () => (magnifier = !magnifier) || view.hideLoupe(),
  "+": () => zoomBy(1.3),
  "=": () => zoomBy(1.3),
  "-": () => zoomBy(1 / 1.3),
  0: () => view.fit(),
  z: zoomToPacket,
  i: () => $("names-dialog").showModal(),
  "?": () => $("help").showModal(),
  ArrowLeft: (event) => nudge(event, -1, 0),
  ArrowRight: (event) => nudge(event, 1, 0),
  ArrowUp: (event) => nudge(event, 0, -1),
  ArrowDown: (event) => nudge(event, 0, 1),
};

/** The action of a key; null if the browser or the focused button handles it. */
function meaning(event) {
  const command = event.ctrlKey || event.metaKey;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (command && key === "z") return event.shiftKey ? redo : undo;
  if (command && key === "y") return redo;
  if (event.target.matches("button") && (key === "Enter" || key === " ")) return null;
  if (command && !key.startsWith("Arrow")) return null;
  if (/^[1-8]$/.test(key)) return () => marking.choose(marking.asked[Number(key) - 1]);
  return Object.hasOwn(KEYS, key) ? KEYS[key] : null;
}

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]") || event.target.matches("input, select")) return;
  const what = meaning(event);
  if (what === null) return;
  event.preventDefault();
  act(what)(event);
});

const BUTTONS = {
  previous: () => step(-1),
  next: () => step(1),
  accept,
  undo,
  redo,
  copy: copyPrevious,
  complete,
  fit: () => view.fit(),
  closer: zoomToPacket,
  unlabelled: goUnlabelled,
};
for (const [id, what] of Object.entries(BUTTONS)) {
  $(id).addEventListener("click", (event) => {
    act(what)();
    if (event.detail > 0) view.stage.focus({preventScroll: true}); // after a mouse click, keys go to the stage
  });
}
$("help-button").addEventListener("click", () => $("help").showModal());
$("names").addEventListener("click", () => $("names-dialog").showModal());
for (const button of $("seen").children) {
  const seen = button.dataset.seen === "" ? null : Number(button.dataset.seen);
  button.addEventListener("click", act(() => marking.see(seen)));
}
$("videos").addEventListener("change", () => {
  const video = Number($("videos").value);
  const inside = (number) => frames.list[number].video === video;
  go(frames.unlabelled(null, inside) ?? frames.order.find(inside));
});
$("position").addEventListener("change", () => {
  const place = Math.min(frames.list.length, Math.max(1, Math.round(Number($("position").value)) || 1));
  go(frames.order[place - 1]);
});
$("cards").addEventListener("change", async () => {
  const number = frames.list[marking.frame.number].video;
  const video = session.videos[number];
  const cards = $("cards").value === "" ? null : Number($("cards").value);
  try {
    await ask("PUT", `/api/videos/${number}`, {cards, before: video.cards});
    video.cards = cards;
    panel.update();
    notify(cards === null ? "The count is unknown." : `${video.file}: ${cards} cards.`);
  } catch (error) {
    if (error instanceof Refused && error.status === 409) video.cards = (await ask("GET", "/api/session")).videos[number].cards;
    $("cards").value = video.cards ?? "";
    notify(error instanceof Refused ? error.message : "Not saved: no response from the server.");
  }
});

window.addEventListener("beforeunload", (event) => {
  if (frames.unsaved.length) event.preventDefault();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && marking.frame) frames.refresh(marking.frame).catch(() => {});
});

// ---- Progress of the model

async function follow() {
  try {
    const {uncertainties, finished, problem} = await ask("GET", "/api/progress");
    session.problem = problem;
    frames.sort(uncertainties);
    const seen = uncertainties.filter((value) => value !== null).length;
    $("order").textContent = !session.model ? "" :
      finished ? (session.ordered ? "" : "Sorted by the model's uncertainty, the largest first.") :
      `The model has predicted ${seen} of ${uncertainties.length} frames; the most uncertain come first.`;
    panel.update();
    if (finished) return;
  } catch {
    // retried
  }
  setTimeout(follow, POLL_MS);
}

if (session.model) await follow();
const wanted = Number(location.hash.slice(1));
if (location.hash && frames.list[wanted]) go(wanted);
else go(frames.unlabelled(null) ?? frames.order[0]);
view.stage.focus({preventScroll: true});
