// The worker that computes, and the choice of the fastest one.

const MEASURED = 4; // frames a backend is timed on; the first warms it up
const FASTER = 0.9; // another backend has to take less than this share of the time

export class Network {
  constructor(backend) {
    this.backend = backend;
    this.waiting = new Map();
    this.next = 0;
    this.worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => this.settle(data.id, data);
    this.worker.onerror = (event) => {
      for (const id of this.waiting.keys()) this.settle(id, { error: event.message || "worker" });
    };
  }

  settle(id, data) {
    const { resolve, reject } = this.waiting.get(id) ?? {};
    this.waiting.delete(id);
    if (data.error) reject?.(new Error(data.error));
    else resolve?.(data);
  }

  ask(message, transfer = []) {
    const id = this.next++;
    const answer = new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, ...message }, transfer);
    });
    this.last = answer.catch(() => {});
    return answer;
  }

  /** Load the runtime and the model; the model's description. */
  async open() {
    this.about = (await this.ask({ open: this.backend })).about;
    return this;
  }

  /** Estimate an ImageBitmap, which moves to the worker. */
  async estimate(bitmap) {
    return (await this.ask({ frame: bitmap }, [bitmap])).estimate;
  }

  /** Median milliseconds of a frame, also kept as `this.milliseconds`. */
  async measure() {
    const times = [];
    for (let i = 0; i < MEASURED; i++) {
      const bitmap = await createImageBitmap(new ImageData(640, 480));
      times.push((await this.estimate(bitmap)).milliseconds);
    }
    this.milliseconds = times.slice(1).sort((a, b) => a - b)[Math.floor((MEASURED - 1) / 2)];
    return this.milliseconds;
  }

  /** End the worker, after the answer that somebody may still wait for. */
  close() {
    Promise.resolve(this.last).then(() => this.worker.terminate());
  }
}

/** Whether this browser has a backend; nothing is fetched for it yet. */
async function available(backend) {
  if (backend === "threads") return self.crossOriginIsolated && navigator.hardwareConcurrency > 1;
  if (navigator.connection?.saveData) return false;
  return Boolean(navigator.gpu && await navigator.gpu.requestAdapter().catch(() => null));
}

/** The faster of `network`, which is measured, and one of `backend`; the slower is closed. */
export async function fastest(network, backend) {
  if (!await available(backend)) return network;
  const other = new Network(backend);
  try {
    await (await other.open()).measure();
  } catch { // a backend that the browser claims to have and that does not run
    other.close();
    return network;
  }
  const better = other.milliseconds < FASTER * network.milliseconds ? other : network;
  (better === other ? network : other).close();
  return better;
}
