// The network and what is computed from its outputs; runs in a worker, and in tests without one.

import { PHONE_FOCAL } from "./box_fit.js";
import { checkAndFit, completed, GOOD } from "./fusion.js";
import { letterbox } from "./letterbox.js";
import { cutOut, DECISIVE, filled } from "./second_look.js";

const RUNTIMES = { wasm: "ort.wasm.min.mjs", threads: "ort.wasm.min.mjs", webgpu: "ort.webgpu.min.mjs" };
const MOST_THREADS = 4;

/** The focal length, in longer sides of the frame, of a field of view in degrees. */
const focalLength = (degrees) => 0.5 / Math.tan((degrees * Math.PI) / 360);

export class Estimator {
  /** Load the runtime and the model; `backend` is wasm, threads or webgpu. */
  static async open(backend) {
    const ort = await import(`./vendor/${RUNTIMES[backend]}`);
    ort.env.logLevel = "error";
    ort.env.wasm.numThreads = backend === "threads" ? Math.min(MOST_THREADS, navigator.hardwareConcurrency) : 1;
    ort.env.wasm.wasmPaths = new URL("./vendor/", import.meta.url).href;
    const [about, model] = await Promise.all([
      fetch("./model/model.json").then((answer) => answer.json()),
      fetch("./model/model.onnx").then((answer) => answer.arrayBuffer()),
    ]);
    const session = await ort.InferenceSession.create(new Uint8Array(model), {
      executionProviders: [backend === "webgpu" ? "webgpu" : "wasm"],
    });
    return new Estimator(ort, session, about);
  }

  constructor(ort, session, about) {
    Object.assign(this, { ort, session, about });
    const view = about.calibration?.field_of_view;
    this.focal = view ? focalLength(view) : PHONE_FOCAL;
  }

  /** Estimate a frame of RGBA pixels { data, width, height }; corners in its pixels. A small packet is looked at twice. */
  async estimate(pixels) {
    const first = await this.look(pixels), corners = completed(first), { size, fusion } = this.about;
    const small = first.flag === GOOD && filled(corners, first.size, size) < fusion.second_look;
    if (!small) return first; // also with an older model, which has no such setting
    const second = await this.look(pixels, cutOut(corners, first.size, size));
    return DECISIVE.includes(second.flag) ? second : first;
  }

  /** The network's estimate of a frame, or of its part { left, top, right, bottom }. */
  async look(pixels, part) {
    const { planes, toSource } = letterbox(pixels, this.about.size, part);
    const input = new this.ort.Tensor("uint8", planes, [1, 3, ...this.about.size]);
    const output = await this.session.run({ [this.session.inputNames[0]]: input });
    const numbers = Object.fromEntries(Object.entries(output).map(([name, { data }]) => [name, Array.from(data)]));
    const corners = numbers.confidence.map((_, i) => toSource(numbers.corners.slice(2 * i, 2 * i + 2)));
    const size = [pixels.width, pixels.height];
    return {
      ...checkAndFit(numbers.confidence, corners, size, this.about.fusion, this.focal),
      size, corners,
      confidence: numbers.confidence,
      visibility: numbers.visibility,
      cards: Math.min(Math.max(numbers.cards[0], 1), 104),
      std: numbers.cards_std[0],
    };
  }
}
