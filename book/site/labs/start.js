// Opens a lab when the reader asks for it; until then a page loads this file alone.

const NAMES = new Map([["denoise-gaussian", "denoise"], ["denoise-salt-pepper", "denoise"]]);

/** Open one lab in its place on the page.
 * @param {HTMLElement} root */
async function open(root) {
  const name = root.dataset.lab ?? "";
  const button = /** @type {HTMLButtonElement} */ (root.querySelector("button"));
  const status = /** @type {HTMLElement} */ (root.querySelector(".lab-status"));
  if (typeof WebAssembly === "undefined") {
    status.textContent = "This browser has no WebAssembly, or it is switched off: the lab cannot run its models here. " +
      "The picture above shows what it does.";
    return;
  }
  button.disabled = true;
  status.textContent = "Loading the models …";
  try {
    const { load } = await import("./lab.js");
    const { build } = await import(`./${NAMES.get(name) ?? name}.js`);
    const lab = await load(root, name);
    await build(lab);
    button.parentElement?.remove();
    /** @type {HTMLElement | null} */ (root.querySelector("[tabindex], input, button"))?.focus();
  } catch (error) {
    button.disabled = false;
    status.textContent = `The lab could not be opened (${error instanceof Error ? error.message : error}). Try again.`;
  }
}

for (const root of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".lab"))) {
  const button = /** @type {HTMLButtonElement} */ (root.querySelector("button"));
  button.hidden = false;
  button.addEventListener("click", () => open(root));
}
