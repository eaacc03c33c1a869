// RGBA pixels of an ImageBitmap, without a megabyte of garbage for each frame where the browser can do so.

const RGBA = { format: "RGBA" };
let canvas = null;
let bytes = new Uint8ClampedArray(0);

/** Copy a frame into memory that is used again. */
async function copyPixels(bitmap) {
  const { width, height } = bitmap, frame = new VideoFrame(bitmap, { timestamp: 0 });
  try {
    const length = 4 * width * height;
    if (frame.allocationSize(RGBA) !== length) throw new Error("another format");
    if (bytes.length !== length) bytes = new Uint8ClampedArray(length);
    await frame.copyTo(bytes, RGBA);
    return { data: bytes, width, height };
  } finally {
    frame.close();
  }
}

function drawPixels(bitmap) {
  const { width, height } = bitmap;
  if (canvas?.width !== width || canvas.height !== height) canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, width, height);
}

/** Whether a browser copies frames as RGBA: some know no VideoFrame, some ignore the format. */
async function supportsCopy() {
  try {
    const sample = new ImageData(new Uint8ClampedArray([250, 120, 10, 255]), 1, 1);
    const { data } = await copyPixels(await createImageBitmap(sample));
    return [250, 120, 10].every((value, i) => data[i] === value);
  } catch {
    return false;
  }
}

let canCopy = null;

/** { data, width, height } of an ImageBitmap, which is closed; the next call may overwrite them. */
export async function pixelsOf(bitmap) {
  canCopy ??= supportsCopy();
  try {
    if (await canCopy) return await copyPixels(bitmap).catch(() => drawPixels(bitmap));
    return drawPixels(bitmap);
  } finally {
    bitmap.close();
  }
}
