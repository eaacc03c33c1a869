// Magician's mode: the count is hidden until the picture is pressed, and given by vibration.

const LONG = 500, SHORT = 120, GAP = 180; // milliseconds
const PRESS = 500;

/** Vibration of a count: long for each ten, short for each one. */
export function pattern(count) {
  const pulses = [...Array(Math.floor(count / 10)).fill(LONG), ...Array(count % 10).fill(SHORT)];
  return pulses.flatMap((pulse) => [pulse, GAP]).slice(0, -1);
}

export const vibrate = (count) => navigator.vibrate?.(pattern(count));

/** Call `reveal(true)` after a long press on the stage or the key V, `reveal(false)` at its end, `tap` for a short one. */
export function gestures(stage, reveal, tap) {
  let timer = 0, long = false;
  const down = (event) => {
    if (event.button) return;
    long = false;
    timer = setTimeout(() => { long = true; reveal(true); }, PRESS);
  };
  const up = (act) => {
    if (!timer) return;
    clearTimeout(timer);
    timer = 0;
    if (long) reveal(false);
    else if (act) tap();
  };
  stage.addEventListener("pointerdown", down);
  stage.addEventListener("pointerup", () => up(true));
  stage.addEventListener("pointerleave", () => up(false));
  stage.addEventListener("pointercancel", () => up(false));
  stage.addEventListener("contextmenu", (event) => event.preventDefault());
  stage.addEventListener("keydown", (event) => {
    if (["Enter", " "].includes(event.key)) { event.preventDefault(); tap(); }
  });
  const key = (on) => (event) => {
    if (event.key.toLowerCase() === "v" && !event.repeat && !/INPUT|SELECT/.test(event.target.tagName)) reveal(on);
  };
  document.addEventListener("keydown", key(true));
  document.addEventListener("keyup", key(false));
}
