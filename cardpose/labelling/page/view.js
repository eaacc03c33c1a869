// The picture with the marks on top. Integer coordinates are pixel centres, as everywhere in cardpose.

const SVG = "http://www.w3.org/2000/svg";
const SHAPE = 8;
const MAX_SCALE = 60;
const LOUPE = 132;
const LOUPE_GAP = 26;

const element = (name, parent, ...classes) => {
  const made = parent.appendChild(document.createElementNS(SVG, name));
  made.classList.add(...classes.filter(Boolean));
  return made;
};

const put = (item, values) => Object.entries(values).forEach(([name, value]) => item.setAttribute(name, value));

export const placed = (mark) => Boolean(mark) && mark[2] > 0;

export class View {
  /** corners: their names; edges: pairs of indices; letters: text beside each corner. */
  constructor(stage, corners, edges, letters) {
    this.stage = stage;
    this.canvas = stage.querySelector("#picture");
    this.svg = stage.querySelector("#marks");
    this.loupe = stage.querySelector("#loupe");
    this.bitmap = null;
    this.scale = 1;
    this.x = 0; // position of the picture's top left corner, CSS pixels of the stage
    this.y = 0;
    const side = (i) => corners[i].split("_")[2];
    this.edges = edges.map(([i, j]) => ({
      i,
      j,
      rim: element("line", this.svg, "rim"),
      line: element("line", this.svg, "edge", side(i) === side(j) ? side(i) : ""),
    }));
    this.corners = corners.map((name, i) => {
      const group = element("g", this.svg, "corner", side(i));
      group.dataset.corner = name;
      const round = side(i) === "back";
      const shape = (kind) => {
        const item = element(round ? "circle" : "rect", group, kind);
        put(item, round ? {r: SHAPE} : {x: -SHAPE, y: -SHAPE, width: 2 * SHAPE, height: 2 * SHAPE});
        return item;
      };
      const crosses = ["halo", "shape"].map((kind) => {
        const cross = element("path", group, kind);
        put(cross, {d: `M${-SHAPE} ${-SHAPE}L${SHAPE} ${SHAPE}M${-SHAPE} ${SHAPE}L${SHAPE} ${-SHAPE}`});
        return cross;
      });
      const shapes = [shape("halo"), shape("shape"), element("circle", group, "dot")];
      put(shapes[2], {r: 2.5});
      const text = element("text", group);
      put(text, {x: SHAPE + 3, y: round ? 2 - SHAPE : SHAPE + 8}); // so that those of a thin packet do not overlap
      text.textContent = letters[i];
      return {group, shapes, crosses};
    });
    new ResizeObserver(() => this.resize()).observe(stage);
  }

  /** Show a picture; keeps the view if `stay` and the size is the same. */
  show(bitmap, stay) {
    const moved = !this.bitmap || !stay || bitmap.width !== this.width || bitmap.height !== this.height;
    this.bitmap = bitmap;
    this.width = bitmap.width;
    this.height = bitmap.height;
    if (moved) this.fit();
    this.paintNow();
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(this.stage.clientWidth * ratio);
    this.canvas.height = Math.round(this.stage.clientHeight * ratio);
    if (this.bitmap && this.fitted) this.fit();
    else this.paint();
  }

  fit() {
    const {clientWidth: width, clientHeight: height} = this.stage;
    this.scale = Math.min(width / this.width, height / this.height);
    this.x = (width - this.width * this.scale) / 2;
    this.y = (height - this.height * this.scale) / 2;
    this.fitted = true;
    this.paint();
  }

  /** Zoom to points of the picture, with a margin. */
  fitTo(points) {
    const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
    const {clientWidth: width, clientHeight: height} = this.stage;
    const [spanX, spanY] = [xs, ys].map((values) => Math.max(8, Math.max(...values) - Math.min(...values)) * 1.4);
    const scale = Math.min(MAX_SCALE, width / spanX, height / spanY);
    const middle = (values) => (Math.max(...values) + Math.min(...values)) / 2 + 0.5;
    this.pan(width / 2 - middle(xs) * scale - this.x, height / 2 - middle(ys) * scale - this.y, scale);
  }

  toStage(x, y) {
    return [(x + 0.5) * this.scale + this.x, (y + 0.5) * this.scale + this.y];
  }

  toPicture(x, y) {
    return [(x - this.x) / this.scale - 0.5, (y - this.y) / this.scale - 0.5];
  }

  /** Zoom by a factor around a point of the stage. */
  zoom(factor, x, y) {
    const smallest = Math.min(this.stage.clientWidth / this.width, this.stage.clientHeight / this.height, 1) / 2;
    const scale = Math.min(MAX_SCALE, Math.max(smallest, this.scale * factor));
    this.pan((x - this.x) * (1 - scale / this.scale), (y - this.y) * (1 - scale / this.scale), scale);
  }

  /** Move the picture; part of it stays visible. */
  pan(dx, dy, scale = this.scale) {
    const seen = 40;
    this.scale = scale;
    this.fitted = false;
    this.x = Math.min(this.stage.clientWidth - seen, Math.max(seen - this.width * scale, this.x + dx));
    this.y = Math.min(this.stage.clientHeight - seen, Math.max(seen - this.height * scale, this.y + dy));
    this.paint();
  }

  /** Scroll a point of the picture into view. */
  reveal(x, y) {
    const [left, top] = this.toStage(x, y);
    const edge = 30;
    const into = (at, size) => (at < edge ? edge - at : at > size - edge ? size - edge - at : 0);
    const [dx, dy] = [into(left, this.stage.clientWidth), into(top, this.stage.clientHeight)];
    if (dx || dy) this.pan(dx, dy);
  }

  /** Repaint once in the next animation frame. */
  paint() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => this.paintNow());
  }

  paintNow() {
    cancelAnimationFrame(this.waiting);
    this.waiting = 0;
    if (!this.bitmap) return;
    const context = this.canvas.getContext("2d");
    const ratio = this.canvas.width / Math.max(1, this.stage.clientWidth);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.imageSmoothingEnabled = this.scale < 4;
    context.setTransform(ratio * this.scale, 0, 0, ratio * this.scale, ratio * this.x, ratio * this.y);
    context.drawImage(this.bitmap, 0, 0);
    this.draw();
  }

  /** marks: of the frame; guesses: expected positions of undecided corners; chosen, outlier: corners or null. */
  mark(marks, guesses, chosen, outlier) {
    this.drawing = {marks, guesses, chosen, outlier};
    this.draw();
  }

  draw() {
    if (!this.drawing || !this.bitmap) return;
    const {marks, guesses, chosen, outlier} = this.drawing;
    const at = marks.map((mark, i) => (placed(mark) ? mark : mark === null ? guesses[i] : null));
    for (const {i, j, rim, line} of this.edges) {
      const shown = at[i] !== null && at[j] !== null;
      for (const item of [rim, line]) {
        item.toggleAttribute("hidden", !shown);
        if (!shown) continue;
        const [[x1, y1], [x2, y2]] = [this.toStage(...at[i]), this.toStage(...at[j])];
        put(item, {x1, y1, x2, y2});
        item.classList.toggle("dashed", at[i][2] === 1 || at[j][2] === 1);
        item.classList.toggle("expected", marks[i] === null || marks[j] === null);
      }
    }
    this.corners.forEach(({group, shapes, crosses}, i) => {
      group.toggleAttribute("hidden", at[i] === null);
      if (at[i] === null) return;
      const [x, y] = this.toStage(...at[i]);
      put(group, {transform: `translate(${x.toFixed(2)} ${y.toFixed(2)})`});
      shapes.forEach((item) => item.toggleAttribute("hidden", marks[i] === null));
      crosses.forEach((item) => item.toggleAttribute("hidden", marks[i] !== null));
      group.classList.toggle("hidden", at[i][2] === 1);
      group.classList.toggle("chosen", i === chosen);
      group.classList.toggle("outlier", i === outlier);
    });
  }

  /** The drawn corner nearest to a point of the stage; null if none is within reach. */
  near(x, y, reach) {
    const {marks, guesses} = this.drawing;
    let best = null;
    let nearest = reach;
    marks.forEach((mark, i) => {
      const point = placed(mark) ? mark : mark === null ? guesses[i] : null;
      if (point === null) return;
      const [left, top] = this.toStage(...point);
      const distance = Math.hypot(left - x, top - y);
      if (distance <= nearest) [best, nearest] = [i, distance];
    });
    return best;
  }

  /** Magnify (x, y) of the picture beside (left, top) of the stage, or in a corner, away from a finger. */
  magnify(x, y, left, top, finger) {
    const {clientWidth: width, clientHeight: height} = this.stage;
    this.loupe.hidden = false;
    if (finger) {
      this.loupe.style.left = `${left < width / 2 ? width - LOUPE - 8 : 8}px`;
      this.loupe.style.top = "8px";
    } else {
      const side = (at, size) => (at + LOUPE_GAP + LOUPE < size ? at + LOUPE_GAP : at - LOUPE_GAP - LOUPE);
      this.loupe.style.left = `${side(left, width)}px`;
      this.loupe.style.top = `${side(top, height)}px`;
    }
    const context = this.loupe.getContext("2d");
    const size = this.loupe.width;
    const scale = Math.max(8, this.scale * 4);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, size, size);
    context.imageSmoothingEnabled = false;
    context.setTransform(scale, 0, 0, scale, size / 2 - (x + 0.5) * scale, size / 2 - (y + 0.5) * scale);
    context.drawImage(this.bitmap, 0, 0);
    context.setTransform(1, 0, 0, 1, size / 2, size / 2);
    for (const [colour, breadth] of [["#000", 5], ["#fff", 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = breadth;
      context.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(8 * dx, 8 * dy);
        context.lineTo((size / 2) * dx, (size / 2) * dy);
      }
      context.stroke();
    }
  }

  hideLoupe() {
    this.loupe.hidden = true;
  }
}
