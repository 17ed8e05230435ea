// The latent explorer: the planes of a plain and a variational code side by side; every point is a picture.

import { PALETTE, button, draw, element, labelled, latest, normal, paper, slider } from "./lab.js";

/** @typedef {import("./lab.js").Lab} Lab */
/** @typedef {[number, number]} Point */

const CLASSES = ["T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"];
const TITLES = new Map([["plain", "Plain autoencoder"], ["variational", "Variational autoencoder"]]);
const SIDE = 300;

/** One plane with its marker and the picture that belongs to it. */
class Plane {
  /** @param {Lab} lab @param {string} model */
  constructor(lab, model) {
    this.lab = lab;
    this.model = model;
    this.codes = /** @type {Float32Array} */ (lab.arrays[`${model}.codes`].data);
    this.labels = lab.arrays.labels.data;
    this.title = TITLES.get(model) ?? model;
    /** @type {Point} */ this.point = [0, 0];
    /** @type {Point[]} */ this.draws = [];
    const [low, high] = this.limits();
    this.low = low;
    this.high = high;
    const scale = window.devicePixelRatio || 1;
    this.canvas = element("canvas", {
      width: SIDE * scale, height: SIDE * scale, class: "lab-plane", tabindex: 0, role: "application",
      "aria-roledescription": "plane", "aria-label": `${this.title}: plane of codes. Arrow keys move the point, with Shift in larger steps.`,
    });
    this.back = element("canvas", { width: SIDE * scale, height: SIDE * scale });
    this.picture = paper(`Picture that the ${this.title.toLowerCase()} decodes from the point`);
    this.strip = Array.from({ length: 8 }, (_, i) => paper(`Draw ${i + 1} from the prior`));
    this.strips = element("div", { class: "lab-strip", hidden: "" }, ...this.strip);
    this.where = element("p", { class: "lab-where" });
    this.decode = latest(() => this.show());
    this.paintBack();
    this.listen();
    this.box = element("figure", { class: "lab-box" }, element("figcaption", {}, this.title), this.canvas,
      element("div", { class: "lab-answer" }, this.picture, this.where), this.strips);
  }

  /** The lower left and the upper right corner: all codes, with a margin. @returns {[Point, Point]} */
  limits() {
    /** @type {Point} */ const low = [-2.5, -2.5];
    /** @type {Point} */ const high = [2.5, 2.5];
    this.codes.forEach((value, i) => {
      low[i % 2] = Math.min(low[i % 2], value - 0.3);
      high[i % 2] = Math.max(high[i % 2], value + 0.3);
    });
    return [low, high];
  }

  /** Where a point lies on the canvas. @param {number} x @param {number} y @returns {Point} */
  place(x, y) {
    const side = this.canvas.width;
    return [(x - this.low[0]) / (this.high[0] - this.low[0]) * side, (this.high[1] - y) / (this.high[1] - this.low[1]) * side];
  }

  /** Paint what does not move: the codes by class and the prior's first and second deviation. */
  paintBack() {
    const context = /** @type {CanvasRenderingContext2D} */ (this.back.getContext("2d"));
    const unit = this.back.width / SIDE;
    context.fillStyle = "#fff";
    context.fillRect(0, 0, this.back.width, this.back.height);
    context.globalAlpha = 0.65;
    for (let i = 0; i < this.labels.length; i++) {
      const [x, y] = this.place(this.codes[2 * i], this.codes[2 * i + 1]);
      context.fillStyle = PALETTE[this.labels[i]];
      context.beginPath();
      context.arc(x, y, 2 * unit, 0, 7);
      context.fill();
    }
    context.globalAlpha = 1;
    context.strokeStyle = "#444";
    context.lineWidth = unit;
    context.setLineDash([4 * unit, 4 * unit]);
    for (const radius of [1, 2]) {
      const [left, top] = this.place(-radius, radius);
      const [right, bottom] = this.place(radius, -radius);
      context.beginPath();
      context.ellipse((left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2, 0, 0, 7);
      context.stroke();
    }
  }

  /** Paint the plane with its marker and the draws from the prior. */
  paint() {
    const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    const unit = this.canvas.width / SIDE;
    context.drawImage(this.back, 0, 0);
    context.lineWidth = 2 * unit;
    context.strokeStyle = "#000";
    for (const draw of this.draws) {
      const [x, y] = this.place(...draw);
      context.strokeRect(x - 3 * unit, y - 3 * unit, 6 * unit, 6 * unit);
    }
    const [x, y] = this.place(...this.point);
    for (const [color, width] of /** @type {[string, number][]} */ ([["#fff", 5], ["#000", 2]])) {
      context.strokeStyle = color;
      context.lineWidth = width * unit;
      context.beginPath();
      context.arc(x, y, 8 * unit, 0, 7);
      context.moveTo(x - 13 * unit, y);
      context.lineTo(x + 13 * unit, y);
      context.moveTo(x, y - 13 * unit);
      context.lineTo(x, y + 13 * unit);
      context.stroke();
    }
  }

  /** The class of the nearest code and its distance, as a share of the plane's width. @returns {[string, number]} */
  nearest() {
    let [best, least] = [0, Infinity];
    for (let i = 0; i < this.labels.length; i++) {
      const away = Math.hypot(this.codes[2 * i] - this.point[0], this.codes[2 * i + 1] - this.point[1]);
      if (away < least) [best, least] = [i, away];
    }
    return [CLASSES[this.labels[best]], least / (this.high[0] - this.low[0])];
  }

  /** Move the point and decode it. @param {number} x @param {number} y */
  move(x, y) {
    const inside = (/** @type {number} */ value, /** @type {number} */ i) => Math.min(this.high[i], Math.max(this.low[i], value));
    this.point = [inside(x, 0), inside(y, 1)];
    this.paint();
    const [name, away] = this.nearest();
    const far = away > 0.03 ? ` The point lies in a gap.` : "";
    this.where.textContent = `(${this.point.map((v) => v.toFixed(2)).join(", ")}): nearest test image: ${name}.${far}`;
    return this.decode();
  }

  /** Decode the point and the draws. */
  async show() {
    draw(this.picture, await this.lab.run(this.model, Float32Array.from(this.point)));
  }

  /** Decode draws from the prior and mark them. @param {Point[]} points */
  async sample(points) {
    this.draws = points;
    this.strips.hidden = false;
    this.paint();
    const pixels = await this.lab.run(this.model, Float32Array.from(points.flat()));
    this.strip.forEach((canvas, i) => draw(canvas, pixels.subarray(784 * i, 784 * (i + 1))));
  }

  /** Follow pointer and keys. */
  listen() {
    const follow = (/** @type {PointerEvent} */ event) => {
      const box = this.canvas.getBoundingClientRect();
      const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
      this.move(this.low[0] + x * (this.high[0] - this.low[0]), this.high[1] - y * (this.high[1] - this.low[1]));
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      follow(event);
    });
    this.canvas.addEventListener("pointermove", (event) => event.buttons && follow(event));
    this.canvas.addEventListener("keydown", (event) => {
      const to = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!to) return;
      event.preventDefault();
      const step = (this.high[0] - this.low[0]) * (event.shiftKey ? 0.05 : 0.01);
      this.move(this.point[0] + to[0] * step, this.point[1] + to[1] * step).then(() => this.lab.say(`${this.title}: ${this.where.textContent}`));
    });
  }
}

/** Build the lab in its place. @param {Lab} lab */
export async function build(lab) {
  const planes = lab.models.map((model) => new Plane(lab, model));
  const count = lab.arrays.labels.data.length;
  let pair = [0, 1];
  const code = (/** @type {Plane} */ plane, /** @type {number} */ i) => /** @type {Point} */ ([plane.codes[2 * i], plane.codes[2 * i + 1]]);
  const name = (/** @type {number} */ i) => CLASSES[lab.arrays.labels.data[i]];
  const way = slider(0, 100, 1, 0, (percent) => walk(percent / 100));
  const ends = element("p", { class: "lab-where" });

  const walk = (/** @type {number} */ t) => {
    way.setAttribute("aria-valuetext", `${Math.round(100 * t)} % of the way from ${name(pair[0])} to ${name(pair[1])}`);
    return Promise.all(planes.map((plane) => {
      const [a, b] = pair.map((i) => code(plane, i));
      return plane.move((1 - t) * a[0] + t * b[0], (1 - t) * a[1] + t * b[1]);
    }));
  };
  const choose = () => {
    const first = Math.floor(count * Math.random());
    let second = first;
    while (lab.arrays.labels.data[second] === lab.arrays.labels.data[first]) second = Math.floor(count * Math.random());
    pair = [first, second];
    ends.textContent = `from ${name(first)} to ${name(second)}`;
    way.value = "0";
    return walk(0);
  };
  const prior = async () => {
    const draws = Array.from({ length: 8 }, () => /** @type {Point} */ ([normal(), normal()]));
    await Promise.all(planes.map((plane) => plane.sample(draws)));
    lab.say("Eight draws from the prior, decoded by both models: squares in the planes, pictures below.");
  };
  const legend = element("ul", { class: "lab-legend" }, ...CLASSES.map((text, i) =>
    element("li", {}, element("span", { style: `background: ${PALETTE[i]}`, "aria-hidden": "true" }), text)));
  lab.root.append(
    element("div", { class: "lab-boxes" }, ...planes.map((plane) => plane.box)),
    element("div", { class: "lab-controls" },
      labelled("Walk between the codes of two test images", way, ends), button("Two other images", choose), button("Draw from the prior", prior)),
    legend,
  );
  await choose();
  lab.say("Drag the point in a plane, or move it with the arrow keys; the picture follows. " +
    "Dashed circles: one and two standard deviations of the prior.");
}
