// Denoise your own: draw, add noise, and see what a median filter and the chapter's model make of it.

import { button, draw, element, labelled, latest, normal, paper, slider } from "./lab.js";

/** @typedef {import("./lab.js").Lab} Lab */

const SIDE = 28;
const KINDS = new Map([["gaussian", { text: "Gaussian", most: 1, symbol: "σ" }], ["salt-pepper", { text: "Salt and pepper", most: 0.7, symbol: "share of pixels" }]]);

/** Peak signal-to-noise ratio in decibels.
 * @param {ArrayLike<number>} clean @param {ArrayLike<number>} answer */
export function psnr(clean, answer) {
  let sum = 0;
  for (let i = 0; i < clean.length; i++) sum += (clean[i] - answer[i]) ** 2;
  return -10 * Math.log10(sum / clean.length);
}

/** The median of the 3 x 3 pixels around each; beyond the edge the picture is mirrored.
 * @param {Float32Array} pixels */
export function median(pixels) {
  const inside = (/** @type {number} */ i) => Math.min(SIDE - 1, Math.max(0, i));
  return pixels.map((_, i) => {
    const [row, column] = [Math.floor(i / SIDE), i % SIDE];
    const around = new Float32Array(9);
    for (let k = 0; k < 9; k++) around[k] = pixels[SIDE * inside(row + Math.floor(k / 3) - 1) + inside(column + k % 3 - 1)];
    return around.sort()[4];
  });
}

/** Numbers from which noise of any strength is made. */
function freshNoise() {
  return {
    normal: Float32Array.from({ length: SIDE * SIDE }, normal),
    chosen: Float32Array.from({ length: SIDE * SIDE }, Math.random),
    grey: Float32Array.from({ length: SIDE * SIDE }, () => Math.sin(Math.PI / 2 * Math.random()) ** 2),  // Beta(1/2, 1/2)
  };
}

/** A sheet to draw on with mouse, finger or keys. */
class Sheet {
  /** @param {() => void} changed */
  constructor(changed) {
    this.pixels = new Float32Array(SIDE * SIDE);
    this.changed = changed;
    this.at = [SIDE / 2, SIDE / 2];
    this.canvas = paper("");
    this.canvas.className = "lab-sheet";
    this.canvas.width = this.canvas.height = 10 * SIDE;
    this.small = paper("");
    for (const [key, value] of Object.entries({
      tabindex: "0", role: "application", "aria-roledescription": "drawing sheet",
      "aria-label": "Sheet to draw on. Arrow keys move the pen, with Shift they draw; Space puts a dot.",
    })) this.canvas.setAttribute(key, value);
    this.listen();
  }

  /** Put ink around a place, given in pixels. @param {number} x @param {number} y */
  ink(x, y) {
    for (let row = 0; row < SIDE; row++) {
      for (let column = 0; column < SIDE; column++) {
        const away = Math.hypot(column + 0.5 - x, row + 0.5 - y);
        const i = SIDE * row + column;
        this.pixels[i] = Math.max(this.pixels[i], Math.min(1, Math.max(0, 1.9 - away)));
      }
    }
    this.at = [x, y];
  }

  /** Draw a line from where the pen is. @param {number} x @param {number} y */
  line(x, y) {
    const [x0, y0] = this.at;
    const steps = Math.max(1, Math.ceil(2 * Math.hypot(x - x0, y - y0)));
    for (let k = 1; k <= steps; k++) this.ink(x0 + (x - x0) * k / steps, y0 + (y - y0) * k / steps);
  }

  /** Replace the drawing. @param {ArrayLike<number>} pixels */
  set(pixels) {
    this.pixels = Float32Array.from(pixels);
    this.changed();
  }

  /** Show the drawing and, while the sheet has the focus, the pen. */
  paint() {
    draw(this.small, this.pixels);
    const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    context.imageSmoothingEnabled = false;
    context.drawImage(this.small, 0, 0, this.canvas.width, this.canvas.height);
    if (document.activeElement === this.canvas) {
      context.strokeStyle = "#D55E00";
      context.lineWidth = 3;
      context.strokeRect(10 * this.at[0] - 10, 10 * this.at[1] - 10, 20, 20);
    }
  }

  /** Follow pointer and keys. */
  listen() {
    /** @param {PointerEvent} event @returns {[number, number]} */
    const place = (event) => {
      const box = this.canvas.getBoundingClientRect();
      return [(event.clientX - box.left) / box.width * SIDE, (event.clientY - box.top) / box.height * SIDE];
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.ink(...place(event));
      this.changed();
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!event.buttons) return;
      this.line(...place(event));
      this.changed();
    });
    this.canvas.addEventListener("keydown", (event) => {
      const to = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], " ": [0, 0] }[event.key];
      if (!to) return;
      event.preventDefault();
      const [x, y] = [0, 1].map((i) => Math.min(SIDE - 0.5, Math.max(0.5, this.at[i] + to[i])));
      if (event.shiftKey) this.line(x, y);
      else if (event.key === " ") this.ink(x, y);
      this.at = [x, y];
      this.changed();
    });
    for (const name of ["focus", "blur"]) this.canvas.addEventListener(name, () => this.paint());
  }
}

/** Build the lab in its place. @param {Lab} lab */
export async function build(lab) {
  const home = lab.root.dataset.lab === "denoise-gaussian" ? "gaussian" : "salt-pepper";
  const examples = lab.arrays.examples;
  let [noise, kind, level, next] = [freshNoise(), home, home === "gaussian" ? 0.5 : 0.3, 0];
  const shown = new Map(["noisy", "median 3×3", "model"].map((name) => [name, { canvas: paper(name), text: element("figcaption") }]));

  const renew = latest(async () => {
    const clean = sheet.pixels;
    const noisy = clean.map((x, i) => kind === "gaussian"
      ? Math.min(1, Math.max(0, x + level * noise.normal[i])) : noise.chosen[i] < level ? noise.grey[i] : x);
    const model = lab.models.reduce((a, b) => Math.abs(Number(a) - level) <= Math.abs(Number(b) - level) ? a : b);
    const answer = (await lab.run(model, noisy)).map((x) => Math.min(1, Math.max(0, x)));
    for (const [name, pixels] of Object.entries({ noisy, "median 3×3": median(noisy), model: answer })) {
      const { canvas, text } = /** @type {{canvas: HTMLCanvasElement, text: HTMLElement}} */ (shown.get(name));
      const decibels = psnr(clean, pixels);
      draw(canvas, pixels);
      text.textContent = `${name === "model" ? `model trained at ${model}` : name}: ${decibels === Infinity ? "no error" : `${decibels.toFixed(1)} dB`}`;
    }
    lab.root.dataset.noisy = Array.from(noisy.subarray(0, 8)).join();
  });
  const sheet = new Sheet(() => { sheet.paint(); renew(); });
  const tell = () => renew().then(() => lab.say(`PSNR. ${[...shown.values()].map(({ text }) => text.textContent).join("; ")}.`));
  const strength = slider(0, 1, 0.01, level, (value) => { level = value; label(); renew(); });
  const label = () => {
    const { symbol } = /** @type {{symbol: string}} */ (KINDS.get(kind));
    strength.setAttribute("aria-valuetext", `${symbol} ${level}`);
    value.textContent = `${symbol}: ${level.toFixed(2)}`;
  };
  const value = element("p", { class: "lab-where" });
  const choice = element("select", {}, ...[...KINDS].map(([name, { text }]) => element("option", { value: name }, text)));
  const example = () => {
    sheet.set(Array.from(examples.data.subarray(784 * next, 784 * (next + 1)), (x) => x / 255));
    next = (next + 1) % examples.shape[0];
    tell();
  };
  choice.value = home;
  strength.max = String(KINDS.get(kind)?.most);
  choice.addEventListener("change", () => {
    kind = choice.value;
    strength.max = String(KINDS.get(kind)?.most);
    level = strength.valueAsNumber;
    label();
    tell();
  });
  strength.addEventListener("change", tell);
  lab.root.append(
    element("div", { class: "lab-boxes" },
      element("figure", { class: "lab-box" }, element("figcaption", {}, "Your picture"), sheet.canvas),
      element("div", { class: "lab-box lab-answers" }, ...[...shown.values()].map(({ canvas, text }) => element("figure", {}, canvas, text)))),
    element("div", { class: "lab-controls" }, labelled("Noise", choice), labelled("Strength", strength, value),
      button("Clear", () => { sheet.set(new Float32Array(SIDE * SIDE)); }), button("Next example", example),
      button("New noise", () => { noise = freshNoise(); tell(); })),
  );
  label();
  example();
  await renew();
  lab.say("Draw on the sheet, or take an example; then choose the noise and its strength.");
}
