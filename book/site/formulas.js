// Formulas that are wider than a narrow screen are drawn smaller, as far as they stay readable; beyond that they scroll.
const LEAST = 0.7;

function fit() {
  for (const formula of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('mjx-container[display="true"]'))) {
    formula.style.removeProperty("font-size");
    const box = formula.closest("div.math") ?? formula;
    const share = box.clientWidth / box.scrollWidth;
    if (share && share < 1) {
      const size = parseFloat(getComputedStyle(formula).fontSize) * Math.max(share * 0.97, LEAST);
      formula.style.setProperty("font-size", `${size}px`, "important");
    }
  }
}

addEventListener("load", () => {
  // @ts-expect-error: MathJax brings no types
  globalThis.MathJax?.startup?.promise.then(fit);
  addEventListener("resize", fit);
  for (const fold of document.querySelectorAll("details")) fold.addEventListener("toggle", fit);
});
