// What the page shows: the answer, advice, buttons and the drawing over the picture.

import { drawBox } from "./drawing.js";
import { kept } from "./kept.js";
import { say } from "./words.js";

export const $ = (id) => document.getElementById(id);

const EVERY = 400; // milliseconds: a screen reader would drown in an answer a frame
let wrote = 0;
let revealed = false;
let last = null;

const write = (element, text) => { if (element.textContent !== text) element.textContent = text; };

/** The count in words with its interval. */
export function sentence(count) {
  const text = say("cards", count.cards.toFixed(0));
  return Number.isNaN(count.low) ? text : `${text} (${say("range", count.low.toFixed(0), count.high.toFixed(0))})`;
}

/**
 * Show a count { cards, low, high, frames, settled } and the thickness in mm; null: nothing counted yet. The counts of
 * a camera are written every `EVERY` milliseconds; the first one, another state, and `always` at once.
 */
export function showAnswer(count, thickness, always = false) {
  const turned = Boolean(count?.settled) !== Boolean(last?.count?.settled) || !last;
  last = count ? { count, thickness } : null;
  const now = performance.now();
  if (count && !turned && !always && now - wrote < EVERY) return;
  wrote = now;
  const hidden = kept.magic && !revealed && count?.frames;
  $("count").dataset.sure = Boolean(count?.settled);
  const tell = (...texts) => ["count", "thickness", "certainty"].forEach((id, i) => write($(id), texts[i]));
  if (!count?.frames) tell("\u2013", "", say("ready"));
  else if (hidden) tell("\u2022\u2022\u2022", "", say("hidden"));
  else {
    const state = document.body.dataset.state === "still" ? "" : say(count.settled ? "sure" : "counting");
    const thick = Number.isFinite(thickness) ? say("thick", thickness.toFixed(1)) : "";
    tell(sentence(count), thick && state ? `${thick}, ` : thick, state); // the thickness of each frame is not read aloud
  }
}

export function reveal(on) {
  revealed = on;
  refresh();
}

/** Write the answer again, as after another language. */
export const refresh = () => showAnswer(last?.count ?? null, last?.thickness, true);

export const advise = (key) => write($("advice"), key ? say(key) : "");
export const complain = (key, more = "") => write($("message"), key ? [say(key), more].filter(Boolean).join(": ") : "");

/** The state: start, live, held or still; `can` names the buttons that a camera offers. */
export function enter(state, can = {}) {
  document.body.dataset.state = state;
  const focused = document.activeElement;
  const live = state === "live", held = state === "held";
  $("camera").hidden = live || (held && can.photo);
  $("hold").hidden = !live && !held;
  $("hold").textContent = say(held ? "resume" : "hold");
  $("again").hidden = !live;
  $("photo").hidden = !(live && can.photo);
  $("switch").hidden = !(live && can.switch);
  $("torch").hidden = !(live && can.torch);
  $("share").hidden = state === "start" || live;
  $("video").hidden = state === "still";
  $("still").hidden = state !== "still";
  if (focused.hidden) (live || held ? $("hold") : $("camera")).focus();
}

/** Draw the box over the picture. */
export function draw([width, height], corners, visibility) {
  const canvas = $("overlay");
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  if (corners && !(kept.magic && !revealed)) drawBox(context, corners, visibility);
}
