// The network away from the page's thread, so that the picture never stops.

import { Estimator } from "./estimator.js";

let estimator = null;
let canvas = null;

/** Pixels of an ImageBitmap, which is closed. */
function pixelsOf(bitmap) {
  if (canvas?.width !== bitmap.width || canvas.height !== bitmap.height) {
    canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  }
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

async function answer({ id, open, frame }) {
  if (open) {
    estimator = await Estimator.open(open);
    return { id, about: estimator.about };
  }
  const start = performance.now();
  const estimate = await estimator.estimate(pixelsOf(frame));
  return { id, estimate: { ...estimate, milliseconds: performance.now() - start } };
}

// One after another: a session runs one frame at a time.
let before = Promise.resolve();
self.onmessage = ({ data }) => {
  before = before.then(() => answer(data))
    .catch((error) => ({ id: data.id, error: String(error.message ?? error) }))
    .then((message) => self.postMessage(message));
};
