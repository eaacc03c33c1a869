// The box over the picture: hidden edges dashed, corners by colour and shape; the colours of evaluation/report/drawing.py.

import { CORNERS } from "./box_fit.js";

const COLOURS = ["#ffffff", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"];
const EDGE = "#56e678";
const words = CORNERS.map((name) => name.split("_"));
const differ = (a, b) => a.filter((word, k) => word !== b[k]).length;
const EDGES = words.flatMap((a, i) => words.map((b, j) => [i, j]).filter(([, j]) => j > i && differ(a, words[j]) === 1));

function mark(context, [x, y], i, radius, visible) {
  context.beginPath();
  if (words[i][2] === "back") context.arc(x, y, radius, 0, 2 * Math.PI); // back: round, face: square
  else context.rect(x - radius, y - radius, 2 * radius, 2 * radius);
  context.lineWidth = radius / 2 + 2;
  context.strokeStyle = "#000";
  context.stroke();
  context.lineWidth = radius / 2;
  context.strokeStyle = COLOURS[i];
  context.stroke();
  context.fillStyle = COLOURS[i];
  if (visible) context.fill();
}

/** Draw corners [8][2], NaN where there is none, in the pixels of `context`; `visibility` [8] from 0 to 1. */
export function drawBox(context, corners, visibility) {
  const { width, height } = context.canvas;
  const unit = Math.max(width, height) / 160;
  const there = (i) => corners[i].every(Number.isFinite);
  for (const [i, j] of EDGES) {
    if (!there(i) || !there(j)) continue;
    const seen = visibility[i] > 0.5 && visibility[j] > 0.5;
    context.setLineDash(seen ? [] : [2 * unit, 1.5 * unit]);
    for (const [colour, thick] of [["#000a", unit], [EDGE, unit / 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = thick;
      context.beginPath();
      context.moveTo(...corners[i]);
      context.lineTo(...corners[j]);
      context.stroke();
    }
  }
  context.setLineDash([]);
  corners.forEach((corner, i) => there(i) && mark(context, corner, i, unit, visibility[i] > 0.5));
}

export function drawText(context, text) {
  const size = Math.max(16, context.canvas.width / 24);
  context.font = `bold ${size}px system-ui, sans-serif`;
  const { width } = context.measureText(text);
  context.fillStyle = "#000c";
  context.fillRect(0, 0, width + size, 1.6 * size);
  context.fillStyle = "#fff";
  context.fillText(text, size / 2, 1.15 * size);
}
