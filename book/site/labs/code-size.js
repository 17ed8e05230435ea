// Code size: one image from the first numbers of two ordered codes, PCA's and that of nested dropout.

import { button, draw, element, labelled, latest, paper, slider } from "./lab.js";

/** @typedef {import("./lab.js").Lab} Lab */

const TITLES = new Map([["pca", "PCA"], ["nested", "nested dropout"]]);

/** Mean squared error. @param {ArrayLike<number>} a @param {ArrayLike<number>} b */
function error(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return sum / a.length;
}

/** Build the lab in its place. @param {Lab} lab */
export async function build(lab) {
  const images = lab.arrays.images;
  const [count, size] = lab.arrays["pca.codes"].shape;
  let [image, kept] = [0, 8];
  const original = paper("The image");
  const shown = new Map([...TITLES.keys()].map((model) => [model, { canvas: paper(""), text: element("figcaption") }]));
  const value = element("p", { class: "lab-where" });

  const renew = latest(async () => {
    const clean = Float32Array.from(images.data.subarray(784 * image, 784 * (image + 1)), (x) => x / 255);
    draw(original, clean);
    for (const [model, { canvas, text }] of shown) {
      const code = Float32Array.from(lab.arrays[`${model}.codes`].data.subarray(size * image, size * (image + 1)));
      const answer = (await lab.run(model, code.fill(0, kept))).map((x) => Math.min(1, Math.max(0, x)));
      draw(canvas, answer);
      text.textContent = `${TITLES.get(model)}: ${error(clean, answer).toFixed(4)}`;
      canvas.setAttribute("aria-label", `The image from ${kept} numbers by ${TITLES.get(model)}`);
    }
    value.textContent = `${kept} of ${size}`;
    length.setAttribute("aria-valuetext", `${kept} of ${size} numbers`);
  });
  const tell = () => renew().then(() => lab.say(
    `Image ${image + 1} from ${kept} numbers. Mean squared error, ${[...shown.values()].map(({ text }) => text.textContent).join("; ")}.`));
  const length = slider(1, size, 1, kept, (to) => { kept = to; renew(); });
  length.addEventListener("change", tell);
  const turn = (/** @type {number} */ step) => { image = (image + step + count) % count; tell(); };
  lab.root.append(
    element("div", { class: "lab-answers" },
      element("figure", {}, original, element("figcaption", {}, "image")),
      ...[...shown.values()].map(({ canvas, text }) => element("figure", {}, canvas, text))),
    element("div", { class: "lab-controls" }, labelled("Numbers of the code that are kept", length, value),
      button("Previous image", () => turn(-1)), button("Next image", () => turn(1))),
  );
  await renew();
  lab.say("Move the slider: both codes are cut behind as many numbers. Below each picture stands its mean squared error.");
}
