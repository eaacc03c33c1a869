// Mouse, pen and touch input on the stage.

const CLICK_MOVES = {mouse: 4, pen: 6, touch: 10}; // CSS pixels of movement up to which a press is a click
const REACH = {mouse: 12, pen: 16, touch: 26};
const HOLD_MS = 350;

/**
 * Listen on the view's stage and call back, in coordinates of the picture.
 *
 * handlers: place(x, y, asHidden); touch(corner, x, y, asHidden) for a click on a corner; choose(corner), drag(corner, x, y)
 * and drop() for a drag; where(corner) -> its position; magnifier() -> whether it is on; awaits() -> whether a click
 * would place a corner.
 */
export function listen(view, handlers) {
  const stage = view.stage;
  const fingers = new Map(); // pointerId -> [x, y] on the stage
  let press = null;

  const at = (event) => {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  const magnify = (x, y, left, top, finger) => {
    if (handlers.magnifier()) view.magnify(x, y, left, top, finger);
  };

  const end = () => {
    if (press) clearTimeout(press.timer);
    press = null;
    view.hideLoupe();
  };

  const begin = (event) => {
    const [x, y] = at(event);
    const kind = event.pointerType || "mouse";
    const corner = event.button === 0 ? view.near(x, y, REACH[kind] ?? REACH.mouse) : null;
    press = {id: event.pointerId, kind, x, y, lastX: x, lastY: y, what: "click", shift: event.shiftKey};
    if (event.button !== 0) {
      press.what = "pan";
    } else if (corner !== null) {
      const [left, top] = view.toStage(...handlers.where(corner));
      Object.assign(press, {what: "grab", corner, dx: left - x, dy: top - y});
    } else if (kind === "touch") {
      press.timer = setTimeout(() => {
        if (!press || press.what !== "click") return;
        press.what = "aim";
        magnify(...view.toPicture(press.lastX, press.lastY), press.lastX, press.lastY, true);
      }, HOLD_MS);
    }
  };

  stage.addEventListener("pointerdown", (event) => {
    stage.focus({preventScroll: true});
    event.preventDefault();
    try {
      stage.setPointerCapture(event.pointerId);
    } catch {
      // the pointer is gone already
    }
    fingers.set(event.pointerId, at(event));
    if (fingers.size > 1) {
      if (press?.what === "drag") handlers.drop();
      end();
    } else {
      begin(event);
    }
  });

  stage.addEventListener("pointermove", (event) => {
    const [x, y] = at(event);
    if (fingers.size > 1 && fingers.has(event.pointerId)) {
      pinch(event.pointerId, x, y);
      return;
    }
    if (!press) {
      if (event.pointerType !== "touch" && handlers.awaits()) magnify(...view.toPicture(x, y), x, y, false);
      return;
    }
    if (event.pointerId !== press.id) return;
    const far = Math.hypot(x - press.x, y - press.y) > (CLICK_MOVES[press.kind] ?? CLICK_MOVES.mouse);
    if (far && press.what === "click") press.what = "pan";
    if (far && press.what === "grab") {
      press.what = "drag";
      handlers.choose(press.corner);
    }
    if (press.what === "pan") view.pan(x - press.lastX, y - press.lastY);
    if (press.what === "drag") {
      const point = view.toPicture(x + press.dx, y + press.dy);
      handlers.drag(press.corner, ...point);
      magnify(...point, x, y, press.kind === "touch");
    }
    if (press.what === "aim") magnify(...view.toPicture(x, y), x, y, true);
    [press.lastX, press.lastY] = [x, y];
  });

  const pinch = (id, x, y) => {
    const [other] = [...fingers].filter(([key]) => key !== id).map(([, point]) => point);
    const [beforeX, beforeY] = fingers.get(id);
    const distance = (a, b) => Math.max(10, Math.hypot(a - other[0], b - other[1]));
    view.pan((x - beforeX) / 2, (y - beforeY) / 2);
    view.zoom(distance(x, y) / distance(beforeX, beforeY), (x + other[0]) / 2, (y + other[1]) / 2);
    fingers.set(id, [x, y]);
  };

  stage.addEventListener("pointerup", (event) => {
    fingers.delete(event.pointerId);
    if (press && press.id === event.pointerId) {
      const [x, y] = at(event);
      if (press.what === "drag") handlers.drop();
      if (press.what === "grab") handlers.touch(press.corner, ...view.toPicture(x, y), press.shift);
      if (press.what === "click" || press.what === "aim") handlers.place(...view.toPicture(x, y), press.shift);
      end();
    }
  });

  stage.addEventListener("pointercancel", (event) => {
    fingers.delete(event.pointerId);
    if (press?.what === "drag") handlers.drop();
    end();
  });

  stage.addEventListener("pointerleave", () => {
    if (!press) view.hideLoupe();
  });

  stage.addEventListener("contextmenu", (event) => event.preventDefault());

  stage.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const pixels = event.deltaY * (event.deltaMode === 1 ? 30 : event.deltaMode === 2 ? 300 : 1);
      view.zoom(Math.exp(-pixels / 400), ...at(event));
    },
    {passive: false},
  );
}
