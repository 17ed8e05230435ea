"""Sphinx extension of the site: no foreign request, a content security policy on every page, and mends of the theme;
what search engines and previews ask for, how long a chapter takes to read, and links to its equations.
"""

import html
import re
from pathlib import Path

from docutils import nodes
from sphinx.util import logging

CSP = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; worker-src 'self' blob:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'"
)
POLICY = f'<meta http-equiv="Content-Security-Policy" content="{CSP}">'
LAB_POLICY = POLICY.replace("'unsafe-inline'", "'unsafe-inline' 'wasm-unsafe-eval'", 1)  # to run a model
PREVIEW = "book/images/05_denoising_gaussian.png"  # for pages without a picture of their own
WORDS, LINES = 200, 20  # of prose, and of code, that a careful reader takes in a minute
COMPUTED = ("book/claims", "book/status")  # pages without a source file that could be edited

TAG = re.compile(r"\\tag\{(\d+)\}")
EQUATION = re.compile(
    r"(?<!\S)(?:[Ee]quation\s)?\((\d{1,2})\)(?:\sof\schapter\s(\d+))?"
)  # but not the issue of a journal: 2(1)
UNLINKED = (nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.raw, nodes.reference, nodes.title)
logger = logging.getLogger(__name__)

LABELLED = re.compile(r"<table\b(?![^>]*indextable)[^>]*>.*?</table>", re.DOTALL)
PROSE, WIDE = 40, 540  # letters of a cell; pixels of a table, as many as a phone could not show even half of


def labelled(table: re.Match) -> str:
    """A table whose cells carry their column's name, for the style sheet's cards on narrow screens.

    It is for tables of prose, for those that end in a verdict, and for those with too many columns to scroll through.
    """
    plain = lambda inner: " ".join(html.unescape(re.sub(r"<[^>]*>", "", inner)).split())  # noqa: E731
    head, _, body = table[0].partition("</thead>")
    names = [plain(name) for name in re.findall(r"<th\b[^>]*>(.*?)</th>", head, re.DOTALL)]
    cells = re.compile(r"<(t[dh])\b([^>]*)>(.*?)</\1>", re.DOTALL)
    rows = [[plain(cell[3]) for cell in cells.finditer(row)] for row in body.split("</tr>") if "<tr" in row]
    longest = max((len(cell) for row in rows for cell in row), default=0)
    words = (
        max(len(word) for cell in column for word in f"{cell} .".split()) for column in zip(names, *rows, strict=False)
    )
    if len(names) < 3 or (longest <= PROSE and "verdict" not in names and sum(7 * word + 16 for word in words) <= WIDE):
        return table[0]

    def row(match: re.Match) -> str:
        name = iter(names)
        label = lambda: html.escape(next(name, ""))  # noqa: E731
        filled = lambda cell: cell[3] if plain(cell[3]) or "<img" in cell[3] else ""  # noqa: E731
        return cells.sub(
            lambda cell: f'<{cell[1]}{cell[2]} role="cell" data-label="{label()}">{filled(cell)}</{cell[1]}>', match[0]
        )

    labelled_body = re.sub(r"<tr\b[^>]*>.*?</tr>", row, body, flags=re.DOTALL)
    whole = re.sub(r"<th\b(?! role)", '<th role="columnheader"', head) + "</thead>" + labelled_body
    roles = {"table": "table", "thead": "rowgroup", "tbody": "rowgroup", "tr": "row"}
    whole = re.sub(r"<(table|thead|tbody|tr)\b", lambda tag: f'<{tag[1]} role="{roles[tag[1]]}"', whole)
    return whole.replace("<table", "<table data-cards", 1)


# What axe finds in the theme's own markup (names that contradict the visible text, roles out of place), and half a
# megabyte of script that draws the same icons as the style sheet's font does. A link beside each equation, and each
# line of code for itself, so that the style sheet can break long ones and indent what follows. A short formula keeps
# the punctuation behind it. References are cited by author and year, so they need no numbers.
MENDS = [
    (re.compile(r'<script defer src="[^"]*/fontawesome\.js[^"]*"></script>'), ""),
    (re.compile(r'role="doc-biblioentry"'), 'role="listitem"'),
    (
        re.compile(
            r'<span class="label"><span class="fn-bracket">\[</span>\d+<span class="fn-bracket">\]</span></span>'
        ),
        "",
    ),
    (re.compile(r'(<i class="theme-switch[^>]*?) title="[^"]*"'), r"\1"),
    (re.compile(r'(<summary) aria-label="Toggle hidden content"'), r"\1"),
    (re.compile(r'(<button[^>]*class="[^"]*search-button-field[^>]*?) title="[^"]*"'), r"\1"),
    (re.compile(r'(<button[^>]*class="[^"]*search-button-field[^>]*?) aria-label="[^"]*"'), r"\1"),
    # Outside of the formula: what MathJax draws is hidden from screen readers, so no link may be in there.
    (
        re.compile(r'(<div class="math [^>]*id="(equation-\d+)">)'),
        r'\1<a class="headerlink" href="#\2" title="Link to this equation">#</a>',
    ),
    (
        re.compile(r'(?<="highlight-ipython3 notranslate"><div class="highlight"><pre>).*?(?=</pre>)', re.DOTALL),
        lambda code: re.sub(r"[^\n]*\n", r'<span class="line">\g<0></span>', code[0]),
    ),
    (
        re.compile(r'(<span class="math [^>]*>\\\([^<]{1,40}\\\)</span>[.,;:!?)]+)'),
        r'<span class="together">\1</span>',
    ),
    (LABELLED, labelled),
]


def site_address(repository: str) -> str:
    """The address at which GitHub publishes the pages of a repository."""
    owner, name = repository.rstrip("/").split("/")[-2:]
    return f"https://{owner}.github.io/" + ("" if name == f"{owner}.github.io" else f"{name}/")


def set_address(app, config) -> None:
    """Derive the site's address from the repository's, unless _config.yml gives one."""
    config.html_baseurl = config.html_baseurl or site_address(config.html_theme_options["repository_url"])


def without_thebe(files: list) -> list:
    """Scripts and styles without those of thebe, which name a host that is not ours."""
    return [f for f in files if "thebe" not in f"{getattr(f, 'filename', f)} {getattr(f, 'attributes', '')}".lower()]


def minutes(doctree) -> int:
    """How long a chapter takes to read: its prose and its code, not what the code prints."""
    words = sum(len(node.astext().split()) for node in doctree.findall(nodes.paragraph))
    cells = (node for node in doctree.findall(nodes.container) if "cell_input" in node["classes"])
    return round(words / WORDS + sum(cell.astext().count("\n") + 1 for cell in cells) / LINES)


def number_equations(app, doctree) -> None:
    """Give equation 3 the address `#equation-3`, and link to it where prose names it.

    Notebooks keep plain TeX and plain words, which read the same everywhere.
    """
    chapters = {name[10:12].lstrip("0"): name for name in app.env.found_docs if name.startswith("notebooks/")}
    known = set()
    for node in doctree.findall(nodes.math_block):
        if tag := TAG.search(node.astext()):
            known.add(tag[1])
            node["ids"].append(f"equation-{tag[1]}")
    for text in [node for node in doctree.findall(nodes.Text) if not isinstance(node.parent, UNLINKED)]:
        parts, end = [], 0
        for named in EQUATION.finditer(text):
            page = f"../{chapters[named[2]]}.html" if named[2] else ""
            if page or named[1] in known:
                link = nodes.reference("", named[0], refuri=f"{page}#equation-{named[1]}", internal=True)
                parts += [nodes.Text(text[end : named.start()]), link]
                end = named.end()
            elif "quation" in named[0] and app.env.docname in chapters.values():
                logger.warning(f"{named[0]} is named, but no equation has this number", location=text.parent)
        if parts:
            text.parent.replace(text, [*parts, nodes.Text(text[end:])])


def preview(app, pagename, context, doctree) -> str:
    """Tags by which other sites show a link to a page: its title, its first paragraph and a picture."""
    if not doctree:
        return ""
    paragraphs = (node for node in doctree.findall(nodes.paragraph) if not any(node.findall(nodes.math)))
    first = next((" ".join(node.astext().split()) for node in paragraphs), "")
    own = f"book/images/{pagename.split('/')[-1]}.png"
    picture = app.env.images[own if own in app.env.images else PREVIEW][1]
    tags = {
        "og:type": "article",
        "og:title": re.sub("<[^>]*>", "", html.unescape(context["title"])),
        "og:site_name": app.config.html_title,
        "og:description": first,
        "og:url": app.config.html_baseurl + app.builder.get_target_uri(pagename),
        "og:image": f"{app.config.html_baseurl}_images/{picture}",
    }
    lines = [f'<meta property="{name}" content="{html.escape(text)}">' for name, text in tags.items()]
    lines += [f'<meta name="description" content="{html.escape(first)}">']
    return "\n".join([*lines, '<meta name="twitter:card" content="summary_large_image">'])


def prepare_page(app, pagename, templatename, context, doctree) -> None:
    """Drop thebe, put the policy first, and drop the edit button where no file could be edited."""
    for key in ("script_files", "css_files"):
        context[key] = without_thebe(context[key])
    policy = LAB_POLICY if 'data-lab="' in context.get("body", "") else POLICY
    context["metatags"] = f"{policy}\n{context.get('metatags', '')}{preview(app, pagename, context, doctree)}"
    if pagename.startswith("notebooks/"):
        note = f'<p class="reading-time">About {minutes(doctree)} minutes to read.</p>'
        context["body"] = context["body"].replace("</h1>", f"</h1>\n{note}", 1)
    if pagename in COMPUTED:
        for group in (button for button in context.get("header_buttons", []) if button["type"] == "group"):
            group["buttons"] = [button for button in group["buttons"] if button["label"] != "source-edit-button"]


def extra_pages(app):
    """The 404 page and the root page, which leads to the book's first page. Both stand alone, without the theme."""
    home = app.builder.get_target_uri(app.config.root_doc)
    base = "/" + app.config.html_baseurl.split("/", 3)[3]
    values = {"policy": POLICY, "home": home, "base": base, "book": html.escape(app.config.html_title)}
    yield "404", values, "alone-404.html"
    yield "index", values, "alone-index.html"


def mend(app, exception) -> None:
    """Rewrite the built pages by MENDS, and drop source maps, which no reader asks for."""
    if exception or app.builder.format != "html":
        return
    for path in Path(app.outdir).rglob("*.map"):
        path.unlink()
    for path in Path(app.outdir).rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        for pattern, replacement in MENDS:
            text = pattern.sub(replacement, text)
        path.write_text(text, encoding="utf-8")


def list_pages(app, exception) -> None:
    """Write sitemap.xml, and a robots.txt that names it."""
    if exception or app.builder.format != "html":
        return
    base = app.config.html_baseurl
    pages = "\n".join(
        f"<url><loc>{base}{app.builder.get_target_uri(page)}</loc></url>" for page in sorted(app.env.found_docs)
    )
    head = '<?xml version="1.0" encoding="utf-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
    Path(app.outdir, "sitemap.xml").write_text(f"{head}\n{pages}\n</urlset>\n", encoding="utf-8")
    Path(app.outdir, "robots.txt").write_text(
        f"User-agent: *\nAllow: /\nSitemap: {base}sitemap.xml\n", encoding="utf-8"
    )


def setup(app) -> dict:
    """Register the handlers with Sphinx."""
    app.connect("config-inited", set_address, priority=100)
    app.connect("doctree-read", number_equations)
    app.connect("html-page-context", prepare_page, priority=900)
    app.connect("html-collect-pages", extra_pages)
    app.connect("build-finished", mend)
    app.connect("build-finished", list_pages)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
