// Features: the pictures of a sparse dictionary; which images wake one, and what an image is without it.

import { button, draw, element, latest, paper } from "./lab.js";
import { psnr } from "./denoise.js";

/** @typedef {import("./lab.js").Lab} Lab */

const NONE = 255;  // stands in `strongest` where fewer images wake a feature

/** Build the lab in its place. @param {Lab} lab */
export async function build(lab) {
  const { pool, codes, strongest } = lab.arrays;
  const [count, units] = codes.shape;
  const blank = await lab.run("decoder", new Float32Array(units));
  const unit = new Float32Array(units * units);
  for (let j = 0; j < units; j++) unit[units * j + j] = 1;
  const pictures = await lab.run("decoder", unit);
  let [image, chosen] = [0, -1];
  /** @type {Set<number>} */ const off = new Set();

  const original = paper("The image");
  const rebuilt = paper("The image, rebuilt from its features that are on");
  const result = element("p", { class: "lab-where" });
  const about = element("p", { class: "lab-where" });
  const woken = Array.from({ length: strongest.shape[1] }, (_, i) => paper(`Image ${i + 1} of those that wake the feature most`));
  const strength = (/** @type {number} */ j) => codes.data[units * image + j];

  const tiles = Array.from({ length: units }, (_, j) => {
    const canvas = paper("");
    canvas.removeAttribute("role");
    canvas.removeAttribute("aria-label");
    let most = 1e-9;
    for (let i = 0; i < 784; i++) most = Math.max(most, Math.abs(pictures[784 * j + i] - blank[i]));
    draw(canvas, Array.from(blank, (value, i) => 0.5 + (pictures[784 * j + i] - value) / (2 * most)));
    const tile = element("button", { type: "button", class: "lab-tile", tabindex: -1 }, canvas);
    tile.addEventListener("click", () => pick(j));
    return tile;
  });
  const grid = element("div", { class: "lab-grid", role: "group", "aria-label": "Features. Arrow keys move, Enter switches a feature of the image off or on." }, ...tiles);

  const renew = latest(async () => {
    const code = Float32Array.from({ length: units }, (_, j) => off.has(j) ? 0 : strength(j));
    const answer = (await lab.run("decoder", code)).map((x) => Math.min(1, Math.max(0, x)));
    const clean = Float32Array.from(pool.data.subarray(784 * image, 784 * (image + 1)), (x) => x / 255);
    draw(original, clean);
    draw(rebuilt, answer);
    const on = code.reduce((sum, value) => sum + Number(value !== 0), 0);
    result.textContent = `Image and reconstruction: ${on} features on, ${off.size} off, ${psnr(clean, answer).toFixed(1)} dB.`;
    tiles.forEach((tile, j) => {
      tile.toggleAttribute("data-on", code[j] !== 0);
      tile.toggleAttribute("data-off", off.has(j));
      tile.toggleAttribute("data-chosen", j === chosen);
      tile.tabIndex = j === Math.max(chosen, 0) ? 0 : -1;
      const state = off.has(j) ? "off" : strength(j) === 0 ? "not in this image" : `on, strength ${strength(j).toFixed(2)}`;
      tile.setAttribute("aria-label", `Feature ${j + 1}, ${state}`);
    });
  });
  /** Show what wakes a feature. @param {number} j */
  const show = (j) => {
    chosen = j;
    about.textContent = `Feature ${j + 1} is woken most by:`;
    woken.forEach((canvas, i) => {
      const at = strongest.data[woken.length * j + i];
      canvas.hidden = at === NONE;
      if (at !== NONE) draw(canvas, pool.data.subarray(784 * at, 784 * (at + 1)), 255);
    });
  };
  /** Show what wakes a feature and, if the image has it, switch it. @param {number} j */
  const pick = (j) => {
    show(j);
    if (strength(j) !== 0 && !off.delete(j)) off.add(j);
    return renew().then(() => lab.say(`${tiles[j].getAttribute("aria-label")}. ${result.textContent}`));
  };
  grid.addEventListener("keydown", (event) => {
    const row = Math.max(1, tiles.filter((tile) => tile.offsetTop === tiles[0].offsetTop).length);
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row, ArrowDown: row }[event.key];
    const to = Math.max(chosen, 0) + (step ?? 0);
    if (!step || !tiles[to]) return;
    event.preventDefault();
    show(to);
    renew().then(() => tiles[to].focus());
  });
  const turn = (/** @type {number} */ to) => {
    image = (to + count) % count;
    off.clear();
    let most = 0;
    for (let j = 1; j < units; j++) if (strength(j) > strength(most)) most = j;
    show(most);
    return renew();
  };
  lab.root.append(
    element("div", { class: "lab-controls" }, button("Next image", () => turn(image + 1).then(() => lab.say(result.textContent ?? ""))),
      button("All on", () => { off.clear(); renew().then(() => lab.say(result.textContent ?? "")); })),
    element("div", { class: "lab-strip lab-pair" }, original, rebuilt), result,
    grid, about, element("div", { class: "lab-strip lab-woken" }, ...woken),
  );
  await turn(0);
  lab.say("Outlined features make up the image: press one to switch it off, and again to switch it on. Below stand the images that wake it most.");
}
