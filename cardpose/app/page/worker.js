// The network away from the page's thread, so that the picture never stops.

import { Estimator } from "./estimator.js";
import { pixelsOf } from "./pixels.js";

let estimator = null;

async function answer({ id, open, frame }) {
  if (open) {
    estimator = await Estimator.open(open);
    return { id, about: estimator.about };
  }
  const start = performance.now();
  const estimate = await estimator.estimate(await pixelsOf(frame));
  return { id, estimate: { ...estimate, milliseconds: performance.now() - start } };
}

// One after another: a session runs one frame at a time.
let before = Promise.resolve();
self.onmessage = ({ data }) => {
  before = before.then(() => answer(data))
    .catch((error) => ({ id: data.id, error: String(error.message ?? error) }))
    .then((message) => self.postMessage(message));
};
