// The page: frames of the camera or a file -> the network -> the running count.

import { advise as advice } from "./advice.js";
import { Camera, eachFrame } from "./camera.js";
import { dialogs } from "./dialogs.js";
import { drawBox, drawText } from "./drawing.js";
import { completed, RunningCount } from "./fusion.js";
import { kept, remember, rescaled, scale } from "./kept.js";
import { gestures, vibrate } from "./magic.js";
import { fastest, Network } from "./network.js";
import { CornerTracker } from "./tracking.js";
import { $, advise, complain, draw, enter, refresh, reveal, sentence, showAnswer } from "./view.js";
import { say } from "./words.js";

const AWAY = 1500; // milliseconds without a corner in view after which the next packet is counted anew
const now = () => performance.now();

let network = null, problem = "", offline = "", stopFrames = () => {}, can = {};
let remembered = false;
let running = null, tracker = null, count = null, shown = null, seen = 0;
const camera = new Camera($("video"), () => { stop(); enter("start"); complain("taken"); });
/** Numbers for tests and for the curious: frames drawn, and the age of the last one in milliseconds. */
export const stats = { frames: 0, age: 0, ages: [] };
window.cardpose = { stats, get count() { return count; }, get backend() { return network?.backend; } };

const fresh = () => Object.assign(
  new RunningCount(network.about.fusion, rescaled(network.about.interval, scale())), { factor: scale() });

/** Fuse the frames so far by another calibration. */
function recount() {
  const { frames, factor } = running, change = scale() / factor;
  running = fresh();
  running.frames = frames.map(({ cards, std, flag }) => ({ cards: cards * change, std: std * change, flag }));
  if (frames.length) count = running.add(running.frames.pop());
  showAnswer(count, shown?.thickness, true);
}

function restart() {
  running = network && fresh();
  remembered = false;
  tracker = count = shown = null;
  showAnswer(null);
  draw([1, 1], null);
}

function stop() {
  stopFrames();
  camera.stop();
  $("video").removeAttribute("src");
  advise("");
}

/** Keep the answer in the history, once a packet. */
function note() {
  if (!count?.frames || remembered) return;
  remembered = true;
  remember({ text: sentence(count), cards: count.cards });
}

function take(estimate, time) {
  const was = count?.settled, { factor } = running;
  if (estimate.found.some(Boolean)) seen = time; // of a packet that is cut off few corners are found
  else if (count?.frames && time - seen > AWAY) restart();
  tracker ??= new CornerTracker(Math.max(...estimate.size));
  count = running.add({ ...estimate, cards: estimate.cards * factor, std: estimate.std * factor });
  shown = { ...estimate, drawn: tracker.next(completed(estimate), time / 1000) };
  draw(estimate.size, shown.drawn, estimate.visibility);
  showAnswer(count, estimate.thickness);
  if (count.settled && !was) {
    note();
    if (kept.magic) vibrate(Math.round(count.cards));
  }
}

/** Count the frames of the video element until it stops. */
function run() {
  stopFrames();
  let current = true;
  const stopLoop = eachFrame($("video"), async (bitmap, time) => {
    const estimate = await network.estimate(bitmap);
    if (!current) return;
    take(estimate, time);
    advise(advice(estimate, tracker.speed(), can.largest));
    stats.frames += 1;
    stats.age = now() - time;
    stats.ages.push(stats.age);
    if (stats.ages.length > 600) stats.ages.shift();
  });
  stopFrames = () => { current = false; stopLoop(); };
}

const lit = (on) => $("torch").setAttribute("aria-pressed", on);

async function ready() {
  complain(problem ? "badModel" : "loading", problem);
  await engine;
  complain(problem ? "badModel" : "", problem);
  return !problem;
}

async function live(start) {
  if (!await ready()) return;
  try {
    await start();
  } catch (error) {
    stop();
    enter("start");
    complain(error.message);
    return;
  }
  can = { photo: true, switch: (await camera.all()).length > 1, torch: camera.hasTorch };
  camera.largest().then((side) => { can.largest = side; });
  complain("");
  enter("live", can);
  lit(false);
  restart();
  run();
}

function hold() {
  const state = document.body.dataset.state;
  if (state === "live") {
    stopFrames();
    $("video").pause();
    advise("");
    enter("held", can);
    refresh();
    note();
  } else if (state === "held") {
    $("video").play();
    enter("live", can);
    run();
  }
}

/** Count one picture, an ImageBitmap. */
async function still(bitmap) {
  if (!await ready()) return;
  stop();
  const canvas = $("still");
  Object.assign(canvas, { width: bitmap.width, height: bitmap.height });
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  enter("still");
  restart();
  const estimate = await network.estimate(bitmap);
  take(estimate, now());
  advise(advice(estimate, 0, Math.max(...estimate.size)));
  note();
}

async function openFile(file) {
  complain("");
  if (!file.type.startsWith("video/")) {
    await createImageBitmap(file).then(still, () => complain("badFile"));
    return;
  }
  if (!await ready()) return;
  stop();
  const video = $("video");
  video.src = URL.createObjectURL(file);
  video.onended = () => document.body.dataset.state === "live" && hold();
  try {
    await video.play();
  } catch {
    complain("badFile");
    return;
  }
  can = {};
  enter("live", can);
  restart();
  run();
}

async function share() {
  const picture = document.body.dataset.state === "still" ? $("still") : $("video");
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: $("overlay").width, height: $("overlay").height });
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  if (shown) drawBox(context, shown.drawn, shown.visibility);
  if (count?.frames) drawText(context, sentence(count));
  const blob = await new Promise((done) => { canvas.toBlob(done, "image/jpeg", 0.92); });
  const file = new File([blob], "cardpose.jpg", { type: "image/jpeg" });
  if (navigator.canShare?.({ files: [file] })) {
    await navigator.share({ files: [file] }).catch(() => {}); // the person changed their mind
    return;
  }
  const link = document.createElement("a");
  Object.assign(link, { href: URL.createObjectURL(file), download: file.name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const tellEngine = () => {
  const { backend, milliseconds } = network ?? {};
  const measured = milliseconds && say("engine", backend, milliseconds.toFixed(0));
  $("engine").textContent = [measured, offline && say(offline)].filter(Boolean).join(", ");
};

/** Load the network; measure what the browser has, WebGPU in the background since its runtime is large. */
async function load() {
  const forced = new URLSearchParams(location.search).get("backend");
  network = await new Network(forced ?? "wasm").open();
  await network.measure();
  if (!forced) network = await fastest(network, "threads");
  tellEngine();
  if (!forced) fastest(network, "webgpu").then((better) => { network = better; tellEngine(); });
}

dialogs(() => (count?.frames ? count.cards / scale() : NaN), (anew) => {
  if (anew && running) recount();
  enter(document.body.dataset.state, can);
  refresh();
  tellEngine();
});
gestures($("stage"), reveal, hold);
$("camera").onclick = () => live(() => camera.start());
$("hold").onclick = hold;
$("again").onclick = restart;
$("switch").onclick = () => live(() => camera.switch());
$("torch").onclick = () => {
  const on = $("torch").getAttribute("aria-pressed") !== "true";
  camera.torch(on).then(() => lit(on), () => {});
};
$("photo").onclick = () => camera.photo().then(still, () => complain("taken"));
$("open").onclick = () => $("file").click();
$("file").onchange = () => { if ($("file").files[0]) openFile($("file").files[0]); $("file").value = ""; };
$("share").onclick = share;
enter("start");
showAnswer(null);
const engine = load().catch((error) => { problem = error.message; complain("badModel", problem); });
/** A service worker wants a certificate that the browser trusts. */
const install = async () => (await navigator.serviceWorker.register("offline.js")) && navigator.serviceWorker.ready;
install().then(() => { offline = "offline"; }, () => { offline = "online"; }).then(tellEngine);
