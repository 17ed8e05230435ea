// What the labs share: loading models and arrays, running them, drawing, and small pieces of a page.

/** A number for each pixel or code, with its shape.
 * @typedef {{data: Float32Array | Uint8Array, shape: number[]}} Values */

/** What a lab has at hand. `run` gives a model's answer to one or more inputs laid out behind each other.
 * @typedef {object} Lab
 * @property {HTMLElement} root
 * @property {Record<string, Values>} arrays
 * @property {string[]} models
 * @property {(model: string, input: Float32Array) => Promise<Float32Array>} run
 * @property {(text: string) => void} say */

/** @typedef {{dims: readonly number[], data: Float32Array, dispose(): void}} Tensor */
/** @typedef {{inputNames: string[], outputNames: string[], run(feeds: Record<string, Tensor>): Promise<Record<string, Tensor>>}} Session */

// The book's palette: told apart with any kind of colour vision.
export const PALETTE = ["#0072B2", "#E69F00", "#009E73", "#56B4E9", "#CC79A7", "#8C6BB1", "#000000", "#D55E00", "#999999", "#C8B900"];

/** @type {Promise<any> | undefined} */
let runtime;

/** The runtime, which all labs of a page share: one thread, files of this site. */
async function start() {
  const ort = await import(new URL("../ort/ort.wasm.bundle.min.mjs", import.meta.url).href);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = { wasm: new URL("../ort/ort-wasm-simd-threaded.wasm", import.meta.url).href };
  return ort;
}

/** Fetch a file of a lab.
 * @param {URL} url */
async function fetched(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url.pathname.split("/").pop()} is missing`);
  return answer;
}

/** Load a lab's arrays and models, and compare each model's answer with Keras's.
 * @param {HTMLElement} root
 * @param {string} name
 * @returns {Promise<Lab>} */
export async function load(root, name) {
  const folder = new URL(`./${name}/`, import.meta.url);
  runtime ??= start();
  const [index, bytes, ort] = await Promise.all([
    fetched(new URL("lab.json", folder)).then((answer) => answer.json()),
    fetched(new URL("lab.bin", folder)).then((answer) => answer.arrayBuffer()),
    runtime,
  ]);
  /** @type {Record<string, Values>} */
  const arrays = {};
  for (const [key, { dtype, shape, offset }] of Object.entries(index.arrays)) {
    const size = shape.reduce((/** @type {number} */ a, /** @type {number} */ b) => a * b, 1);
    arrays[key] = { shape, data: dtype === "uint8" ? new Uint8Array(bytes, offset, size) : new Float32Array(bytes, offset, size) };
  }
  /** @type {Map<string, Session>} */
  const sessions = new Map();
  for (const key of index.models) {
    const model = await (await fetched(new URL(`${key}.onnx`, folder))).arrayBuffer();
    sessions.set(key, await ort.InferenceSession.create(new Uint8Array(model)));
  }
  const status = /** @type {HTMLElement} */ (root.querySelector(".lab-status"));
  const lab = {
    root, arrays, models: index.models,
    /** @param {string} text */
    say: (text) => { if (status.textContent !== text) status.textContent = text; },
    /** @param {string} model @param {Float32Array} input */
    run: async (model, input) => {
      const session = /** @type {Session} */ (sessions.get(model));
      const one = arrays[`${model}.input`].shape.slice(1);
      const size = one.reduce((a, b) => a * b, 1);
      root.dispatchEvent(new CustomEvent("ask"));
      const fed = new ort.Tensor("float32", input, [input.length / size, ...one]);
      const output = (await session.run({ [session.inputNames[0]]: fed }))[session.outputNames[0]];
      const answer = output.data;
      const detail = { model, input, output: answer };
      root.dispatchEvent(new CustomEvent("answer", { detail }));
      return answer;
    },
  };
  let apart = 0;
  for (const key of index.models) {
    const answer = await lab.run(key, /** @type {Float32Array} */ (arrays[`${key}.input`].data).slice());
    arrays[`${key}.output`].data.forEach((value, i) => { apart = Math.max(apart, Math.abs(value - answer[i])); });
  }
  root.dataset.apart = String(apart);
  if (!(apart < 1e-3)) throw new Error(`a model answers otherwise than Keras, by ${apart}`);
  return lab;
}

/** Turn a task into one that is never run twice at a time: of the calls while it runs, only the last counts.
 * @template {any[]} A
 * @param {(...given: A) => Promise<void>} task
 * @returns {(...given: A) => Promise<void>} */
export function latest(task) {
  /** @type {A | undefined} */
  let waiting;
  /** @type {Promise<void> | undefined} */
  let running;
  return (...given) => {
    waiting = given;
    running ??= (async () => {
      try {
        while (waiting) {
          const next = waiting;
          waiting = undefined;
          await task(...next);
        }
      } finally {
        running = undefined;
      }
    })();
    return running;
  };
}

let names = 0;

/** An element with attributes and content.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string | number>} [attributes]
 * @param {(Node | string)[]} content
 * @returns {HTMLElementTagNameMap[T]} */
export function element(tag, attributes = {}, ...content) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...content);
  return made;
}

/** A control below its label.
 * @template {HTMLElement} E
 * @param {string} text
 * @param {E} control
 * @param {(Node | string)[]} more
 * @returns {HTMLElement} */
export function labelled(text, control, ...more) {
  control.id ||= `lab-control-${++names}`;
  return element("div", { class: "lab-control" }, element("label", { for: control.id }, text), control, ...more);
}

/** A button that does something.
 * @param {string} text
 * @param {() => void} action */
export function button(text, action) {
  const made = element("button", { type: "button" }, text);
  made.addEventListener("click", action);
  return made;
}

/** A slider.
 * @param {number} min @param {number} max @param {number} step @param {number} value
 * @param {(value: number) => void} action */
export function slider(min, max, step, value, action) {
  const made = element("input", { type: "range", min, max, step, value });
  made.addEventListener("input", () => action(made.valueAsNumber));
  return made;
}

/** A canvas for a picture of 28 x 28 pixels, with what it shows in words.
 * @param {string} label */
export function paper(label) {
  return element("canvas", { width: 28, height: 28, class: "lab-paper", role: "img", "aria-label": label });
}

/** Draw 784 greys, 0 white and 1 black (or bytes up to 255), on a paper.
 * @param {HTMLCanvasElement} canvas
 * @param {ArrayLike<number>} pixels
 * @param {number} [black] */
export function draw(canvas, pixels, black = 1) {
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const image = context.createImageData(28, 28);
  for (let i = 0; i < 784; i++) {
    const grey = 255 * (1 - Math.min(1, Math.max(0, pixels[i] / black)));
    image.data.fill(grey, 4 * i, 4 * i + 3);
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/** A draw from N(0, 1). */
export function normal() {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}
