"""The site as a reader's browser meets it: built strictly from the committed notebooks, served to this computer alone.

Every page is opened twice, wide and light, narrow and dark, with all other hosts blocked.
"""

import functools
import gzip
import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book/tools"))

import labs  # noqa: E402 (found by the line above)
import node  # noqa: E402
import notebooks  # noqa: E402
import pages  # noqa: E402
import serve  # noqa: E402
import site_ext  # noqa: E402
import stage  # noqa: E402

CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
HANGS = 600_000  # milliseconds after which a page that does not answer is given up; no measure of speed
REMEDY = "no Chromium here, so the site was not opened in a browser: apt-get install chromium"
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
CHAPTERS = [f"notebooks/{name}" for name in notebooks.chapters()]
PAGES = [TOC["root"], *(entry["file"] for part in TOC["parts"] for entry in part["chapters"]), "search", "genindex"]
SCREENS = {"wide-light": (1280, 900, "light"), "narrow-dark": (360, 740, "dark")}
every_page = pytest.mark.parametrize("page", PAGES)
every_screen = pytest.mark.parametrize("screen", SCREENS)


# The site, its server, the browser: each made once


@pytest.fixture(scope="session")
def site() -> Path:
    """The folder of the built site."""
    run = subprocess.run([sys.executable, stage.__file__, "--profile", "committed"], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return ROOT / "_build/committed/html"


@pytest.fixture(scope="session")
def address(site):
    """The address of a server on loopback."""
    with serve.Server(site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def browser():
    """Chromium that can reach this computer only."""
    if CHROMIUM is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(REMEDY)
    from playwright.sync_api import sync_playwright

    blocked = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[blocked])
        yield browser
        browser.close()


@dataclass
class Visit:
    """What happened when one page was opened on one screen."""

    requests: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    weight: int = 0
    formulas: tuple[int, int] = (0, 0)
    unrendered: list[str] = field(default_factory=list)
    width: int = 0
    left: float = 0  # where the leftmost formula begins
    cut: list[str] = field(default_factory=list)  # code, formulas, links beyond their box
    axe: list[str] = field(default_factory=list)


def listen(tab, visit: Visit) -> None:
    """Note every request, answer, console error and exception of a tab."""
    tab.on("request", lambda request: visit.requests.append(request.url))
    tab.on("requestfailed", lambda request: visit.troubles.append(f"failed: {request.url}"))
    tab.on("pageerror", lambda error: visit.troubles.append(f"exception: {error}"))
    tab.on("console", lambda m: m.type == "error" and visit.troubles.append(f"console: {m.text}"))
    tab.on("response", lambda r: r.status >= 400 and visit.troubles.append(f"{r.status}: {r.url}"))


def open_tab(browser, screen: str):
    """A tab of its own, with nothing cached."""
    width, height, scheme = SCREENS[screen]
    viewport = {"width": width, "height": height}
    tab = browser.new_page(viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
    tab.set_default_timeout(HANGS)
    return tab


def violations(tab) -> list[str]:
    """Serious and critical findings of axe, which without `preload: false` fetches style sheets itself.

    On the longest page, describing what passed takes as long as all the rules: `resultTypes` leaves that out.
    """
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(tab, options={"preload": False, "resultTypes": ["violations"]}).response["violations"]
    return [
        f"{rule['id']}: {rule['nodes'][0]['html'][:200]}" for rule in found if rule["impact"] in ("serious", "critical")
    ]


FRAMES = "async () => { for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame) }"


def observe(browser, url: str, screen: str) -> Visit:
    """Open a page, unfold everything, wait for its formulas, and note what is to be seen."""
    visit, bodies = Visit(), []
    tab = open_tab(browser, screen)
    listen(tab, visit)
    tab.on("response", lambda response: bodies.append(response))
    tab.goto(url)
    tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    tab.evaluate("window.MathJax?.startup?.promise")
    tab.evaluate("document.fonts.ready.then(() => true)")
    visit.formulas = tuple(tab.evaluate("['.math', 'mjx-container'].map(s => document.querySelectorAll(s).length)"))
    wrong = "mjx-merror, mjx-mtext[style*=red]"
    visit.unrendered = tab.evaluate(f"[...document.querySelectorAll('{wrong}')].map(e => e.parentElement.outerHTML)")
    lefts = "[...document.querySelectorAll('mjx-math')].map(e => e.getBoundingClientRect().left)"
    visit.left = min(tab.evaluate(lefts), default=0)
    visit.width = tab.evaluate("Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)")
    wide = "e => e.getBoundingClientRect().right > e.parentElement.getBoundingClientRect().right"
    lines = "[...document.querySelectorAll('.cell_input .line')]"
    formulas = "[...document.querySelectorAll('div.math')].filter(e => e.scrollWidth > e.clientWidth + 1)"
    cut = f"[...{lines}.filter({wide}), ...{formulas}].map(e => e.id || e.textContent)"
    kept = "[...document.querySelectorAll('.prev-next-area *, table[data-cards] tbody *')]"
    beyond = f"{kept}.filter(e => e.getBoundingClientRect().right > 360)"
    narrow = f"[...{formulas}, ...{beyond}].map(e => e.id || e.textContent)"
    tab.evaluate(FRAMES)  # formulas are fitted when a fold has opened
    visit.cut = tab.evaluate(cut if screen == "wide-light" else narrow)
    visit.axe = violations(tab)
    if screen == "wide-light":
        visit.weight = sum(len(gzip.compress(r.body())) for r in bodies if r.request.resource_type != "image")
    tab.close()
    return visit


@pytest.fixture(scope="session")
def visit(browser, address):
    """A function that opens a page on a screen, each once."""
    return functools.cache(lambda page, screen: observe(browser, f"{address}/{page}.html", screen))


# In the browser


@every_screen
@every_page
def test_page_renders(visit, page, screen):
    """Formulas are set, nothing fails, no other host is asked, nothing sticks out, axe finds nothing serious."""
    seen = visit(page, screen)
    assert seen.formulas[0] == seen.formulas[1], "formulas that were not rendered"
    assert not seen.unrendered
    assert not seen.troubles
    assert not [url for url in seen.requests if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))]
    assert seen.width <= SCREENS[screen][0], "the page scrolls sideways"
    assert seen.left >= 0, "a formula begins outside the page"
    assert not seen.cut
    assert not seen.axe


def test_a_page_has_formulas(visit):
    assert visit("book/notation", "wide-light").formulas[0] > 10


def test_heaviest_page(visit, capsys):
    """Without figures, gzipped, the heaviest page stays below 1.2 MB."""
    weight = {page: visit(page, "wide-light").weight / 1e6 for page in PAGES}
    heaviest = max(weight, key=weight.get)
    line = f"heaviest page: {heaviest}, {weight[heaviest]:.2f} MB gzipped without figures"
    (ROOT / "_build/committed/weight.txt").write_text(f"{line}\n")  # where parallel workers swallow what is printed
    with capsys.disabled():
        print(f"\n{line}")
    assert weight[heaviest] <= 1.2


def test_search_finds_a_word(browser, address):
    tab = open_tab(browser, "wide-light")
    tab.goto(f"{address}/search.html?q=bottleneck")
    tab.wait_for_selector("#search-results li a")
    assert "glossary" in tab.inner_html("#search-results").lower()
    tab.close()


def test_dark_mode_toggles(browser, address):
    """The button leads through the modes; in dark mode the background is dark."""
    tab = open_tab(browser, "wide-light")
    tab.goto(f"{address}/book/index.html")
    seen = {}
    for _ in range(3):
        tab.click("button.theme-switch-button >> visible=true")
        shade = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        seen[tab.evaluate("document.documentElement.dataset.theme")] = sum(map(int, re.findall(r"\d+", shade)[:3]))
    assert seen["dark"] < 200 < 600 < seen["light"]
    tab.close()


def test_missing_page_leads_back(browser, address):
    tab = open_tab(browser, "narrow-dark")
    assert tab.goto(f"{address}/no/such/page.html").status == 404
    assert tab.inner_text("h1") == "Page not found"
    assert not violations(tab)
    tab.click("main a")
    assert tab.url == f"{address}/{TOC['root']}.html"
    tab.close()


def test_root_leads_to_the_first_page(browser, address):
    tab = open_tab(browser, "wide-light")
    tab.goto(f"{address}/")
    tab.wait_for_url(f"{address}/{TOC['root']}.html")
    tab.close()


# The labs

LABS = labs.of(stage.read_chapters("committed"))
each_lab = pytest.mark.parametrize("lab", LABS)
LISTEN = """window.answers = []; window.open = 0;
const lab = document.querySelector('.lab');
lab.addEventListener('ask', () => window.open++);
lab.addEventListener('answer', ({detail}) => {
    window.open--;
    answers.push({model: detail.model, input: [...detail.input], output: [...detail.output]});
});"""
REST = """async () => {
    const frame = () => new Promise(requestAnimationFrame);
    for (let still = 0; still < 3; still = window.open ? 0 : still + 1) await frame();
    return answers.splice(0);
}"""
OPENED = ".lab[data-apart]:not(:has(.lab-start))"


@dataclass
class Open:
    """A lab that was opened in a tab."""

    tab: object
    name: str

    def answers(self) -> list[dict]:
        """What the models were asked and answered since the last call, once they rest."""
        return self.tab.evaluate(REST)

    def status(self) -> str:
        """What the lab says aloud."""
        return self.tab.inner_text(".lab-status")


@pytest.fixture
def visit_lab(browser, address, visit):
    """A function that opens a lab's chapter, and by default the lab, on a screen."""
    tabs, seen = [], Visit()

    def go(name: str, screen: str = "wide-light", script: str = "", keys: bool = False) -> Open:
        tabs.append(tab := open_tab(browser, screen))
        listen(tab, seen)
        tab.add_init_script(script or "0")
        tab.goto(f"{address}/notebooks/{LABS[name][0]}.html")
        assert not [url for url in seen.requests if re.search("/ort/|/labs/(?!start.js)", url)]
        tab.evaluate(LISTEN)
        button = tab.locator(".lab-start button")
        if keys:
            button.focus()
            tab.keyboard.press("Enter")
        else:
            button.click()
        return Open(tab, name)

    def opened(*given, **options) -> Open:
        lab = go(*given, **options)
        lab.tab.wait_for_selector(OPENED)
        return lab

    opened.seen, opened.click = seen, go
    yield opened
    for tab in tabs:
        tab.close()


@functools.cache
def keras_model(lab: str, model: str):
    return labs.rebuilt(LABS[lab][1]["models"][model])


def apart(lab: Open, answer: dict) -> float:
    """How far an answer in the browser is from Keras's."""
    model = keras_model(lab.name, answer["model"])
    x = np.array(answer["input"], "float32").reshape(-1, *model.input_shape[1:])
    return float(np.abs(model.predict(x, verbose=0).ravel() - np.array(answer["output"])).max())


@each_lab
def test_a_lab_opens_with_few_requests_and_answers_as_keras_does(visit_lab, lab):
    """Nothing is loaded before the click; the stored test vector comes out; no other host is asked."""
    begin = visit_lab(lab)
    answers = begin.answers()
    assert {answer["model"] for answer in answers} == set(LABS[lab][1]["models"])
    assert float(begin.tab.evaluate("document.querySelector('.lab').dataset.apart")) < 1e-5
    assert max(apart(begin, answer) for answer in answers) < 1e-5
    assert not visit_lab.seen.troubles
    assert not [url for url in visit_lab.seen.requests if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))]
    models = len(LABS[lab][1]["models"])
    loaded = [url for url in visit_lab.seen.requests if re.search("/ort/|/labs/", url)]
    assert len(loaded) == len(set(loaded)) <= models + 8, "scripts, the runtime, the arrays and each model, once"
    assert models < len(answers) <= 2 * models + 2, "the stored inputs, then what is shown first"


@each_lab
@every_screen
def test_an_open_lab_is_accessible_and_keeps_to_the_page(visit_lab, lab, screen):
    opened = visit_lab(lab, screen)
    width = opened.tab.evaluate("Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)")
    assert width <= SCREENS[screen][0]
    assert not violations(opened.tab)
    assert opened.status()


@each_lab
def test_a_lab_says_what_is_missing(visit_lab, lab):
    closed = visit_lab.click(lab, script="delete window.WebAssembly")
    assert "no WebAssembly" in closed.status()


@each_lab
def test_without_javascript_a_lab_is_a_picture(browser, address, lab):
    tab = browser.new_page(java_script_enabled=False)
    tab.goto(f"{address}/notebooks/{LABS[lab][0]}.html")
    assert "the picture above" in tab.inner_text(".lab")
    assert not tab.is_visible(".lab button")
    tab.close()


def middle(tab, selector: str) -> tuple[float, float, float]:
    """The middle of an element and a tenth of its width, after scrolling there."""
    tab.locator(selector).first.scroll_into_view_if_needed()
    box = tab.locator(selector).first.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box["width"] / 10


def test_a_point_is_dragged_through_the_plane(visit_lab):
    lab = visit_lab("latent-explorer")
    lab.answers()
    x, y, step = middle(lab.tab, ".lab-plane")
    lab.tab.mouse.move(x, y)
    lab.tab.mouse.down()
    lab.tab.mouse.move(x + 3 * step, y - 2 * step, steps=8)
    lab.tab.mouse.up()
    answers = lab.answers()
    assert len(answers) > 2 and {answer["model"] for answer in answers} == {"plain"}
    assert answers[-1]["input"][0] > answers[0]["input"][0] and answers[-1]["input"][1] > answers[0]["input"][1]
    assert max(apart(lab, answer) for answer in answers) < 1e-5


def test_the_planes_are_used_by_keyboard_alone(visit_lab):
    """Enter opens the lab and leads to its first plane; arrows move the point; Tab leads on to slider and buttons."""
    lab = visit_lab("latent-explorer", keys=True)
    lab.answers()
    assert lab.tab.evaluate("document.activeElement.className") == "lab-plane"
    lab.tab.keyboard.press("ArrowRight")
    lab.tab.keyboard.press("Shift+ArrowUp")
    first, second = lab.answers()
    assert second["input"][1] > first["input"][1] and apart(lab, second) < 1e-5
    assert "nearest test image" in lab.status()
    for _ in range(2):
        lab.tab.keyboard.press("Tab")
    for _ in range(3):
        lab.tab.keyboard.press("ArrowRight")
    walked = lab.answers()
    assert {answer["model"] for answer in walked} == {"plain", "variational"}
    lab.tab.keyboard.press("Tab")
    lab.tab.keyboard.press("Tab")
    lab.tab.keyboard.press("Enter")
    drawn = lab.answers()
    assert [len(answer["input"]) for answer in drawn] == [16, 16] and "prior" in lab.status()
    assert max(apart(lab, answer) for answer in drawn) < 1e-5


def test_a_finger_moves_the_point(browser, address):
    context = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    tab = context.new_page()
    tab.goto(f"{address}/notebooks/{LABS['latent-explorer'][0]}.html")
    tab.evaluate(LISTEN)
    tab.tap(".lab-start button")
    tab.wait_for_selector(OPENED)
    lab = Open(tab, "latent-explorer")
    lab.answers()
    x, y, step = middle(tab, ".lab-plane")
    tab.touchscreen.tap(x + step, y)
    assert [answer["model"] for answer in lab.answers()] == ["plain"]
    context.close()


def test_a_three_is_drawn_and_cleaned(visit_lab):
    """With the mouse: the answer is Keras's and better than the median; the slider makes the noise worse."""
    lab = visit_lab("denoise-gaussian")
    lab.tab.get_by_role("button", name="Clear").click()
    x, y, step = middle(lab.tab, ".lab-sheet")
    lab.tab.mouse.move(x - 1.5 * step, y - 3 * step)
    lab.tab.mouse.down()
    for across, down in [(1, -3), (1.5, -1.5), (0, 0), (1.5, 1.5), (1, 3), (-1.5, 3)]:
        lab.tab.mouse.move(x + across * step, y + down * step, steps=6)
    lab.tab.mouse.up()
    drawn = lab.answers()[-1]
    assert apart(lab, drawn) < 1e-5
    heard = decibels(lab)
    assert heard["model"] > heard["median"] and heard["model"] > heard["noisy"]
    lab.tab.locator(".lab input[type=range]").fill("0.8")
    stronger = lab.answers()[-1]
    assert (drawn["model"], stronger["model"]) == ("0.5", "0.75") and apart(lab, stronger) < 1e-5
    assert decibels(lab)["noisy"] < heard["noisy"]


def decibels(lab: Open) -> dict[str, float]:
    """The PSNR below each picture."""
    texts = [text for text in lab.tab.locator(".lab-answers figcaption").all_inner_texts()]
    return {re.match(r"\w+", text)[0]: float(re.search(r"([\d.]+) dB", text)[1]) for text in texts}


@pytest.mark.parametrize("name", [name for name in LABS if name.startswith("denoise")])
def test_a_picture_is_drawn_by_keyboard_alone(visit_lab, name):
    lab = visit_lab(name, keys=True)
    lab.tab.get_by_role("button", name="Clear").focus()
    lab.tab.keyboard.press("Enter")
    lab.tab.locator(".lab-sheet").focus()
    lab.answers()
    for key in ["Space", *["Shift+ArrowDown"] * 6, *["Shift+ArrowLeft"] * 4]:
        lab.tab.keyboard.press(key)
    answers = lab.answers()
    assert len(answers) > 3 and max(apart(lab, answer) for answer in answers) < 1e-5
    lab.tab.get_by_role("button", name="New noise").focus()
    lab.tab.keyboard.press("Enter")
    lab.answers()
    assert lab.status().startswith("PSNR.")


def test_the_median_is_that_of_the_package(visit_lab):
    """In the browser as in `baselines.median_filter`, edges included."""
    from aebook import baselines

    lab, x = visit_lab("denoise-gaussian"), np.random.default_rng(0).random((28, 28), "float32")
    code = "async ([url, pixels]) => [...(await import(url)).median(Float32Array.from(pixels))]"
    found = lab.tab.evaluate(code, ["../_static/labs/denoise.js", x.ravel().tolist()])
    np.testing.assert_array_equal(np.array(found, "float32").reshape(28, 28), baselines.median_filter(x[None])[0])


def mse_shown(lab: Open) -> dict[str, float]:
    """The errors below the pictures."""
    texts = lab.tab.locator(".lab-answers figcaption").all_inner_texts()
    return {text.split(":")[0]: float(text.split(":")[1]) for text in texts if ":" in text}


def test_a_code_is_cut_by_keyboard(visit_lab):
    """Enter leads to the slider; both codes are cut at its place; the errors shown are those of Keras's answers."""
    lab = visit_lab("code-size", keys=True)
    lab.answers()
    lab.tab.keyboard.press("ArrowRight")
    cut = lab.answers()
    assert {answer["model"]: np.count_nonzero(answer["input"]) for answer in cut} == {"pca": 9, "nested": 9}
    assert max(apart(lab, answer) for answer in cut) < 1e-5
    image = labs.values(LABS["code-size"][1]["arrays"]["images"])[0] / 255
    for answer in cut:
        expected = np.square(np.clip(answer["output"], 0, 1) - image.ravel()).mean()
        name = {"pca": "PCA", "nested": "nested dropout"}[answer["model"]]
        assert mse_shown(lab)[name] == pytest.approx(expected, abs=6e-5)
    few = mse_shown(lab)
    lab.tab.keyboard.press("End")
    assert {np.count_nonzero(answer["input"]) for answer in lab.answers()} == {64}
    assert all(error < few[name] for name, error in mse_shown(lab).items())
    assert "from 64 numbers" in lab.status()
    lab.tab.keyboard.press("Tab")
    lab.tab.keyboard.press("Tab")
    lab.tab.keyboard.press("Enter")
    assert len(lab.answers()) == 2, "one answer a model"
    assert lab.status().startswith("Image 2 ")


def test_a_feature_is_switched_off_and_on(visit_lab):
    """With the mouse, then by keyboard: the code loses one number, the answer is Keras's, and it is told."""
    lab = visit_lab("features")
    whole = lab.answers()[-1]
    lab.tab.locator(".lab-tile[data-on]").first.click()
    less = lab.answers()[-1]
    assert np.count_nonzero(whole["input"]) - np.count_nonzero(less["input"]) == 1 and apart(lab, less) < 1e-5
    assert lab.tab.locator(".lab-tile[data-off]").count() == 1
    assert re.match(r"Feature \d+, off", lab.status()) and "15 features on, 1 off" in lab.status()
    lab.tab.keyboard.press("Enter")
    assert lab.answers()[-1]["input"] == whole["input"]
    lab.tab.keyboard.press("ArrowRight")
    lab.answers()
    told = lab.tab.evaluate("document.activeElement.getAttribute('aria-label')")
    assert lab.tab.locator(".lab-tile[data-chosen]").get_attribute("aria-label") == told
    number = int(re.match(r"Feature (\d+)", told)[1]) - 1
    lab_arrays = LABS["features"][1]["arrays"]
    strongest = labs.values(lab_arrays["strongest"])[number]
    first = labs.values(lab_arrays["pool"])[strongest[0]].ravel()
    pixels = lab.tab.evaluate("""() => { const canvas = document.querySelector('.lab-woken canvas');
        return [...canvas.getContext('2d').getImageData(0, 0, 28, 28).data].filter((_, i) => i % 4 === 0) }""")
    np.testing.assert_array_equal(255 - np.array(pixels), first)
    lab.tab.get_by_role("button", name="Next image").click()
    assert lab.tab.locator(".lab-tile[data-off]").count() == 0 and apart(lab, lab.answers()[-1]) < 1e-5


MEMORIES = """window.memories = []; const Memory = WebAssembly.Memory;
WebAssembly.Memory = function (about) { const made = new Memory(about); memories.push(made); return made; };
WebAssembly.Memory.prototype = Memory.prototype; const instantiate = WebAssembly.instantiate;
WebAssembly.instantiate = async (...given) => { const made = await instantiate(...given);
    memories.push(...Object.values((made.instance ?? made).exports).filter((part) => part instanceof Memory));
    return made; }"""


MOVES = {
    "latent-explorer": ".lab-plane', new KeyboardEvent('keydown', {key: turn, bubbles: true})",
    "code-size": "input', new Event('input'), (slider) => { slider.value = 1 + i % 64 }",
    "features": ".lab-tile[data-on], .lab-tile[data-off]', new MouseEvent('click', {bubbles: true})",
}
DRAWING = ".lab-sheet', new KeyboardEvent('keydown', {key: turn, shiftKey: true, bubbles: true})"


@each_lab
def test_memory_stays_flat(visit_lab, lab):
    """Five hundred moves leave neither objects nor a larger WebAssembly memory behind."""
    name, lab = lab, visit_lab(lab, script=MEMORIES)
    client = lab.tab.context.new_cdp_session(lab.tab)

    def used() -> tuple[float, float]:
        lab.answers()
        client.send("HeapProfiler.collectGarbage")
        heap = client.send("Runtime.getHeapUsage")["usedSize"]
        return heap / 1e6, lab.tab.evaluate("memories.reduce((sum, m) => sum + m.buffer.byteLength, 0)") / 1e6

    def move(times: int) -> None:
        lab.tab.evaluate(f"""async () => {{
            const act = (place, event, before) => {{
                const at = document.querySelector('.lab ' + place);
                before?.(at);
                at.dispatchEvent(event);
            }};
            for (let i = 0; i < {times}; i++) {{
                const turn = ['ArrowRight', 'ArrowUp', 'ArrowLeft', 'ArrowDown'][i % 4];
                act('{MOVES.get(name, DRAWING)});
                await new Promise((done) => setTimeout(done, 4)); }} answers.length = 0; }}""")

    move(50)
    before = used()
    move(500)
    after = used()
    assert before[1] > 0, "the runtime's memory was not seen"
    assert after[0] - before[0] < 1 and after[1] == before[1], (before, after)


def test_the_scripts_types_hold():
    tsc = node.modules() / "typescript/bin/tsc"
    command, environment = node.node()
    run = subprocess.run([*command, str(tsc), "-p", str(node.NPM)], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def test_only_pages_with_a_lab_may_run_webassembly(site):
    for path in site.rglob("*.html"):
        if "_static" not in path.parts:
            text = path.read_text(encoding="utf-8")
            assert ("wasm-unsafe-eval" in text) == ('data-lab="' in text), path


# In the files


@functools.cache
def soup(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def test_every_page_has_the_policy_and_no_thebe(site):
    for path in site.rglob("*.html"):
        if "_static" in path.parts:
            continue
        policy = soup(path).find("meta", {"http-equiv": "Content-Security-Policy"})
        assert policy and "default-src 'self'" in policy["content"], path
        assert "thebe" not in str(soup(path).head).lower(), path


def test_pages_are_listed_and_previewed_by_absolute_addresses(site):
    """All follow from the repository's address in _config.yml."""
    owner, name = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"].split("/")[-2:]
    base = f"https://{owner}.github.io/{name}/"
    listed = re.findall("<loc>(.*?)</loc>", (site / "sitemap.xml").read_text(encoding="utf-8"))
    written = PAGES[:-2]  # all but search and index
    assert {address.removeprefix(base) for address in listed} == {f"{page}.html" for page in written}
    assert f"Sitemap: {base}sitemap.xml" in (site / "robots.txt").read_text(encoding="utf-8")
    for page in written:
        tree = soup(site / f"{page}.html")
        tags = {tag["property"]: tag["content"] for tag in tree.find_all("meta", property=re.compile("^og:"))}
        assert tags["og:url"] == tree.find("link", rel="canonical")["href"] == f"{base}{page}.html"
        assert (site / tags["og:image"].removeprefix(base)).is_file() and tags["og:image"].endswith(".png")
        assert len(tags["og:description"]) > 30 and "\\" not in tags["og:description"], page


def test_chapters_say_how_long_they_take_to_read(site):
    for name in notebooks.chapters():
        told = soup(site / f"notebooks/{name}.html").find(class_="reading-time")
        assert 5 <= int(re.search(r"\d+", told.text)[0]) <= 90


def test_on_paper_nothing_is_folded_or_left_of_the_menus(browser, address):
    """Print what the reader sees: text, figures and the derivations inside `details`, no buttons."""
    tab = browser.new_page(viewport={"width": 800, "height": 900})
    tab.emulate_media(media="print")
    tab.goto(f"{address}/notebooks/05_denoising_gaussian.html")
    assert not tab.locator(".bd-sidebar-primary, .prev-next-footer, .copybtn, .lab").locator("visible=true").count()
    assert tab.evaluate("document.querySelector('details:not([open]) p').checkVisibility()")
    tab.close()


@every_page
def test_images_say_what_they_show(site, page):
    for image in soup(site / f"{page}.html").select("article img"):
        assert image.get("alt", "").strip() not in ("", Path(image["src"]).stem), image["src"]


def target(site: Path, path: Path, link: str) -> tuple[Path, str]:
    """The file and the fragment that a link in a page leads to."""
    url = urllib.parse.urlsplit(link)
    return (path.parent / urllib.parse.unquote(url.path)).resolve() if url.path else path, url.fragment


@every_page
def test_internal_links_resolve(site, page):
    path = site / f"{page}.html"
    links = [a["href"] for a in soup(path).select("a[href]") if not urllib.parse.urlsplit(a["href"]).scheme]
    for link in links:
        file, fragment = target(site, path, link)
        assert file.exists(), link
        if fragment and file.suffix == ".html":
            assert soup(file).find(id=fragment), link


@pytest.mark.parametrize("page", CHAPTERS)
def test_equations_are_numbered_and_linked(site, page):
    """From 1 without a gap, each with a link to itself; prose that names one links to it."""
    article = soup(site / f"{page}.html").find("article")
    numbers = [int(block["id"].removeprefix("equation-")) for block in article.select(".math[id^=equation-]")]
    assert numbers and numbers == list(range(1, len(numbers) + 1))
    assert [int(tag) for tag in re.findall(r"\\tag\{(\d+)\}", article.text)] == numbers
    links = [link["href"] for link in article.select(".math > a.headerlink")]
    assert links == [f"#equation-{number}" for number in numbers]
    loose = [text for text in article.find_all(string=re.compile(r"[Ee]quation\s\(\d")) if text.find_parent("p")]
    assert all(text.find_parent("a") for text in loose), loose


def test_a_numbered_equation_leads_to_its_address(browser, address):
    """From beside its number, for whoever wants to quote it; and from the prose."""
    tab = open_tab(browser, "wide-light")
    tab.goto(f"{address}/notebooks/09_contractive.html")
    tab.evaluate("window.MathJax?.startup?.promise")
    tab.locator("#equation-3").hover()
    tab.locator("#equation-3 > a").click()
    assert tab.url.endswith("#equation-3")
    tab.get_by_role("link", name="equation (1)").first.click()
    assert tab.url.endswith("#equation-1")
    tab.close()


@every_page
def test_figures_are_numbered_and_linked(site, page):
    """Within a page one after the other, each with a link to itself."""
    captions = soup(site / f"{page}.html").select("article figure figcaption")
    numbers = [caption.select_one(".caption-number") for caption in captions if caption.find_parent("figure").get("id")]
    assert [int(number.text.strip().rsplit(".", 1)[1]) for number in numbers] == list(range(1, len(numbers) + 1))
    for caption in captions:
        if figure := caption.find_parent("figure").get("id"):
            assert caption.select_one("a.headerlink")["href"] == f"#{figure}"


@pytest.mark.parametrize("page", CHAPTERS)
def test_launch_links_equal_the_notebook(site, page):
    """Colab and Binder open the file that lies at this path in the repository."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]
    name, branch = config["url"].removeprefix("https://github.com/"), config["branch"]
    links = {a["href"] for a in soup(site / f"{page}.html").select("a[href]")}
    assert (ROOT / f"{page}.ipynb").exists()
    assert f"https://colab.research.google.com/github/{name}/blob/{branch}/{page}.ipynb" in links
    assert f"https://mybinder.org/v2/gh/{name}/{branch}?urlpath=lab/tree/{page}.ipynb" in links
    assert f"https://github.com/{name}/edit/{branch}/{page}.ipynb" in links
    assert any(link.startswith(f"https://github.com/{name}/issues/new") for link in links)


def test_repository_address_stands_in_one_place():
    """A fork changes _config.yml alone: no page and no template repeats the address."""
    address = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    files = [p for p in (ROOT / "book").rglob("*") if p.suffix in {".md", ".html", ".py", ".css"}]
    assert not [str(p) for p in files if address.removeprefix("https://") in p.read_text(encoding="utf-8")]


# The tools


def claim(**changes) -> dict:
    return {"statement": "PCA|30 is exact", "verdict": "holds", "found": "", "value": 13.866, "low": 13.8} | changes


def notebook(*claims: dict) -> dict:
    """A chapter with stored claims."""
    outputs = [{"output_type": "display_data", "data": {pages.MIME: claim}} for claim in claims]
    heading = {"cell_type": "markdown", "source": ["# Theory\n", "\n", "A promise.\n"]}
    return {"cells": [heading, {"cell_type": "code", "source": "", "outputs": outputs}]}


def test_a_placeholder_becomes_value_and_band():
    claims = pages.claims_of("01_theory", notebook(claim()))
    text = pages.filled("a [[check: PCA|30 is exact]] b", {}, claims, "errata.md")
    assert text == "a PCA\\|30 is exact: **13.87** (band: at least 13.8) b"


def test_wide_tables_bring_their_columns_names_and_others_stay():
    """On a phone a row becomes a card, in which an empty cell is left out."""
    head = "<thead><tr><th>a</th><th>b</th><th>c</th></tr></thead>"
    small = f"<table>{head}<tbody><tr><td>1</td><td>2</td><td></td></tr></tbody></table>"
    large = small.replace("<td>1</td>", f"<td><p>{'so much prose ' * 4}</p></td>")
    assert site_ext.labelled(site_ext.LABELLED.search(small)) == small
    table = BeautifulSoup(site_ext.labelled(site_ext.LABELLED.search(large)), "html.parser").table
    assert table.has_attr("data-cards") and [cell["data-label"] for cell in table.select("td")] == ["a", "b", "c"]
    assert [cell["role"] for cell in table.select("th, td")] == ["columnheader"] * 3 + ["cell"] * 3
    assert [row["role"] for row in table.select("tr")] == ["row"] * 2 and not table.select("td")[2].contents


def test_an_unknown_placeholder_is_named():
    with pytest.raises(SystemExit, match=r"errata.md.*'check: never run'"):
        pages.filled("[[check: never run]]", {}, [], "errata.md")


def test_a_failing_claim_stops_the_site():
    with pytest.raises(SystemExit, match="01_theory: a claim does not hold: PCA"):
        pages.claims_of("01_theory", notebook(claim(verdict="fails")))


def test_two_checks_of_the_same_words_stop_the_site():
    books = {"01_theory": notebook(claim()), "02_vanilla": notebook(claim(), claim(statement="another"))}
    with pytest.raises(SystemExit, match=r"same words, in 01_theory and 02_vanilla: PCA.*\n.*Reword"):
        pages.claims_of_all(books)
    assert len(pages.claims_of_all({"02_vanilla": books["02_vanilla"]})) == 2


def test_claims_page_counts_and_leaves_out_exercises():
    books = {"01_theory": notebook(claim(), claim(verdict="unanswered", value=None, statement="exercise"))}
    page = pages.claims_page(pages.claims_of("01_theory", books["01_theory"]), books)
    assert "| holds | 1 |" in page and "| not tested here | 0 |" in page and "1 more checks" in page
    assert "| exercise |" not in page


def test_chapters_are_listed_with_their_promise():
    values = pages.chapter_values({"01_theory": notebook()})
    assert values == {
        "chapters": "1. [Theory](../notebooks/01_theory.ipynb). A promise.",
        "chapters today": "1 of 13 chapters",
    }


def test_a_missing_notebook_is_named(tmp_path):
    with pytest.raises(SystemExit, match=r"03_none\.ipynb"):
        pages.read(tmp_path / "03_none.ipynb")


def test_missing_benchmark_is_said(tmp_path):
    assert pages.benchmark(tmp_path / "none.tsv") == ["not recorded"] * 3
    (tmp_path / "one.tsv").write_text("s\tmax_rss\tprocessor\n41.6\t1234.5\tA|B 9000\n")
    assert pages.benchmark(tmp_path / "one.tsv") == ["42", "1,234", "A\\|B 9000"]


def test_a_broken_link_stops_the_build_and_is_named(tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    (site / "_config.yml").write_text("title: broken\nonly_build_toc_files: true\n")
    (site / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    (site / "index.md").write_text("# Broken\n\n{doc}`nowhere`\n")
    with pytest.raises(SystemExit, match=r"index\.md:3: WARNING.*nowhere"):
        stage.build(site)
    assert not (tmp_path / "html").exists()


def test_lock_file_names_no_host():
    assert "://" not in (ROOT / "book/npm/package-lock.json").read_text()


def test_node_comes_from_the_wheel_where_it_is_missing(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert node.system_npm() is None
    command, environment = node.wheel_npm()
    run = subprocess.run([*command, "--version"], env=environment, capture_output=True, text=True)
    assert re.match(r"\d+\.\d+", run.stdout), run.stderr
