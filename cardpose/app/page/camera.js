// The camera: start, switch, torch, photo, and its newest frame.

const WANTED = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } };

export class Camera {
  constructor(video, lost) {
    Object.assign(this, { video, lost, which: { facingMode: { ideal: "environment" } }, stream: null });
  }

  async start() {
    this.stop();
    if (!navigator.mediaDevices) throw new Error("insecure");
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({
        audio: false, video: { ...WANTED, ...this.which },
      });
    } catch (error) {
      throw new Error(["NotAllowedError", "SecurityError"].includes(error.name) ? "refused" : "absent");
    }
    this.track.addEventListener("ended", this.lost);
    this.video.srcObject = this.stream;
    await this.video.play();
  }

  get track() {
    return this.stream?.getVideoTracks()[0];
  }

  stop() {
    this.track?.removeEventListener("ended", this.lost);
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = this.video.srcObject = null;
  }

  /** The camera of a phone's other side; on a machine whose cameras have no sides, the next one. */
  async switch() {
    const { facingMode, deviceId } = this.track.getSettings(), all = await this.all();
    const next = all[(all.indexOf(deviceId) + 1) % all.length];
    this.which = facingMode
      ? { facingMode: { ideal: facingMode === "user" ? "environment" : "user" } } : { deviceId: { exact: next } };
    await this.start();
  }

  async all() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    return devices.filter(({ kind }) => kind === "videoinput").map(({ deviceId }) => deviceId);
  }

  get hasTorch() {
    return Boolean(this.track?.getCapabilities?.().torch);
  }

  torch(on) {
    return this.track.applyConstraints({ advanced: [{ torch: on }] });
  }

  /** Longer side of the largest photo, pixels; 0 where the browser does not say. */
  async largest() {
    try {
      const able = await new ImageCapture(this.track).getPhotoCapabilities();
      return Math.max(able.imageWidth.max, able.imageHeight.max) || 0;
    } catch {
      return 0;
    }
  }

  /** A picture of full resolution where the browser takes one, else the newest frame. */
  async photo() {
    if (self.ImageCapture) {
      try {
        return await createImageBitmap(await new ImageCapture(this.track).takePhoto());
      } catch { /* a camera that takes no photos */ }
    }
    return createImageBitmap(this.video);
  }
}

const FRESH = 12; // milliseconds

/**
 * Call `work` with the newest frame of a video as an ImageBitmap and the time it was shown, again and again. Frames that
 * are shown while `work` is busy are not queued: once it is done it gets the newest one if that is still fresh, else the
 * next. Returns a function that stops.
 */
export function eachFrame(video, work) {
  let running = true, busy = false, newest = 0;
  const next = (then) => (video.requestVideoFrameCallback
    ? video.requestVideoFrameCallback((now) => then(now)) : requestAnimationFrame(then));
  const take = async () => {
    busy = true;
    let time;
    do {
      time = newest;
      if (video.videoWidth && video.readyState >= 2) await work(await createImageBitmap(video), time);
    } while (running && newest > time && performance.now() - newest < FRESH);
    busy = false;
  };
  const shown = (now) => {
    if (!running) return;
    newest = now;
    next(shown);
    if (!busy) take();
  };
  next(shown);
  return () => { running = false; };
}
