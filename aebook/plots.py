"""Figures of the book: one style, one colour-blind-safe palette, titles that say what is to be seen.

Every function returns a matplotlib figure and takes `title` (the finding, in words) and `note` (data source and
profile, set small in the corner). Alt text and caption stand in the notebook, in the metadata of the figure's cell.
"""

import contextlib
import html
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from IPython.core.pylabtools import print_figure
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Load the backend now: a first figure would load it within rc_context, which takes back the interactive mode that the
# notebooks' backend sets, and no later figure would be shown.
plt.draw_if_interactive()
plt.rcParams["svg.hashsalt"] = "aebook"  # the same figure, the same file

# Okabe & Ito (2008): told apart with any kind of colour vision; ordered so that neighbours differ in lightness too.
PALETTE = ["#0072B2", "#E69F00", "#009E73", "#56B4E9", "#CC79A7", "#8C6BB1", "#000000", "#D55E00", "#999999", "#F0E442"]
STYLE: Any = {
    "axes.prop_cycle": plt.cycler(color=PALETTE),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": "medium",
    "figure.dpi": 110,
    "image.cmap": "gray_r",
    "legend.frameon": False,
}


@contextlib.contextmanager
def _figure(title: str, note: str, inches: tuple[float, float], **grid: Any) -> Iterator[tuple[Figure, Any]]:
    """Open a figure in the book's style, give it and its axes to be drawn on, and write its title and note."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=inches, layout="constrained", **grid)
        yield figure, axes
        figure.suptitle(title, x=0.01, ha="left", size=11, wrap=True)
        if note:
            figure.supxlabel(note, x=0.99, ha="right", size=8, color="#555555")
        if not any(axis.images for axis in figure.axes):  # what holds no images is shown as vector graphics, too
            figure.__dict__["_repr_svg_"] = lambda: print_figure(figure, "svg", dpi=220, metadata={"Date": None})


def image_rows(
    rows: Mapping[str, Any], title: str = "", note: str = "", size: float = 0.9, columns: Sequence[str] = ()
) -> Figure:
    """Draw labelled rows of images, all on the scale from 0 (white) to 1 (black).

    rows: name -> images (h, w) or (h, w, 1), as many in each row. size: inches an image, less where many would make
    the figure wider than a page, whose labels a phone could not show. columns: their names.
    Raises ValueError when the rows differ in length.
    """
    lengths = {len(images) for images in rows.values()}
    if len(lengths) != 1:
        raise ValueError(f"the rows hold {sorted(lengths)} images; they must be equally long")
    size, ncols = min(size, 5.5 / max(lengths)), lengths.pop()
    inches = (ncols * size + 0.9, len(rows) * size + 0.5)
    with _figure(title, note, inches, nrows=len(rows), ncols=ncols, squeeze=False) as (figure, axes):
        for axis, name in zip(axes[0], columns, strict=False):
            axis.set_title(name, loc="center")
        for axis_row, (name, images) in zip(axes, rows.items(), strict=True):
            for axis, image in zip(axis_row, images, strict=True):
                _draw(axis, image)
            axis_row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    return figure


def show_reconstructions(model: Any, images: np.ndarray, n_images: int = 8, title: str = "", note: str = "") -> Figure:
    """Draw originals above their reconstructions.

    model: anything with `predict`, a function of the images, or a mapping from names to such, one row each.
    images: (n, h, w[, 1]) in [0, 1]; the first n_images are shown.
    Taught in chapter 01.
    """
    chosen = images[:n_images]
    models = model if isinstance(model, Mapping) else {"reconstruction": model}
    return image_rows({"original": chosen, **{name: _apply(m, chosen) for name, m in models.items()}}, title, note)


def denoising_rows(clean: Any, noisy: Any, denoised: Mapping[str, Any], n_images: int = 8, **words: Any) -> Figure:
    """Draw clean images, the noisy ones, and one row for each way to denoise them.

    denoised: name -> images; all are (n, h, w[, 1]). words: title, note and size. Taught in chapter 05.
    """
    rows = {"clean": clean, "noisy": noisy, **denoised}
    return image_rows({name: images[:n_images] for name, images in rows.items()}, **words)


def history(histories: Any, title: str = "", note: str = "", ylabel: str = "loss") -> Figure:
    """Draw training (dashed) and validation loss (solid) against epochs; the dot marks the epoch that was kept.

    histories: what `train.fit` returned, or a mapping from names to such.
    Taught in chapter 02.
    """
    named = histories if isinstance(histories, Mapping) else {"": histories}
    with _figure(title, note, (6.4, 3.4)) as (figure, axis):
        for (name, one), color in zip(named.items(), cycle(PALETTE), strict=False):
            epochs = np.arange(1, len(one.train) + 1)
            axis.plot(epochs, one.train, "--", color=color, label=f"{name} training".strip())
            axis.plot(epochs, one.valid, "-", color=color, label=f"{name} validation".strip())
            axis.plot(one.best_epoch, one.valid[one.best_epoch - 1], "o", color=color)
        axis.set(xlabel="epoch", ylabel=ylabel)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.legend()
    return figure


def curves(
    x: Sequence[float], lines: Mapping[str, Any], title: str = "", note: str = "", log: str = "", **words: str
) -> Figure:
    """Draw lines over the same x, each labelled at its right end; points are marked where they are few.

    lines: name -> values over x, or a pair of sequences (own x, values).
    log: the axes on a logarithmic scale, "x", "y" or "xy". words: xlabel and ylabel.
    """
    with _figure(title, note, (6.4, 3.4)) as (figure, axis):
        for name, line in lines.items():
            own_x, y = line if isinstance(line, tuple) else (x, line)
            axis.plot(own_x, y, "o-" if len(y) < 20 else "-", label=name, markersize=4)
        if "x" in log:
            axis.set_xscale("log", base=2)
            axis.set_xticks(x, [f"{value:g}" for value in x], minor=False)
        elif np.issubdtype(np.asarray(x).dtype, np.integer):
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        if "y" in log:
            axis.set_yscale("log")
        axis.set(**words)
        ends = [np.asarray(line.get_xydata())[-1] for line in axis.lines]
        inks = [{"color": [0.5 * c for c in to_rgb(line.get_color())]} for line in axis.lines]  # pale ones as text, too
        _name(axis, ends, list(lines), inks, np.inf, 13.3)
    return figure


def histograms(
    values: Mapping[str, np.ndarray], per: float = 1.0, bins: int = 20, title: str = "", note: str = "", **words: str
) -> Figure:
    """Draw one histogram per name, side by side on the same scales, counts on a logarithmic one, divided by `per`.

    words: xlabel and ylabel. Taught in chapter 08.
    """
    edges = np.histogram_bin_edges(np.concatenate([np.ravel(v) for v in values.values()]), bins)
    with _figure(title, note, (6.8, 2.6), ncols=len(values), sharey=True, squeeze=False) as (figure, axes):
        for axis, (name, one), color in zip(axes.flat, values.items(), cycle(PALETTE), strict=False):
            axis.stairs(np.histogram(one, edges)[0] / per, edges, fill=True, color=color)
            axis.set(title=name, xlabel=words.get("xlabel", "") if len(values) < 3 else "")  # more would run together
        axes[0, 0].set(yscale="log", **words | {"ylabel": f"{words.get('ylabel', '')}\n(logarithmic)"})
    return figure


def latent_scatter(codes: Any, labels: Any, names: Sequence[str] = (), title: str = "", note: str = "") -> Figure:
    """Draw two-number codes (n, 2) coloured by class, each class named at its median or, lest names meet, above.

    names: of the classes. Taught in chapter 01.
    """
    parts = {str(names[value] if len(names) else value): codes[labels == value] for value in np.unique(labels)}
    frame, looks = {"boxstyle": "round,pad=0.2", "fc": "white", "alpha": 0.85}, []
    with _figure(title, note, (6.0, 5.0)) as (figure, axis):
        for part, color in zip(parts.values(), cycle(PALETTE), strict=False):
            axis.scatter(part[:, 0], part[:, 1], s=5, color=color, alpha=0.5, linewidths=0, rasterized=True)
            looks.append({"ha": "center", "weight": "bold", "bbox": {**frame, "ec": color}})
        medians, reach = [np.median(part, axis=0) for part in parts.values()], 0.02 * max(map(len, parts)) + 0.02
        _name(axis, medians, list(parts), looks, reach, 17)
        axis.set(xlabel="first number of the code", ylabel="second number of the code")
    return figure


def latent_grid(
    decoder: Any, x_range: Sequence[float], y_range: Sequence[float], n: int = 15, title: str = "", note: str = ""
) -> Figure:
    """Decode an n by n grid over a rectangle of a two-number code, second number upwards. Taught in chapter 01."""
    first, second = (np.linspace(ends[0], ends[1], n) for ends in (x_range, y_range))
    codes = np.stack(np.meshgrid(first, second[::-1]), axis=-1).reshape(-1, 2).astype("float32")
    images = np.squeeze(_apply(decoder, codes), -1)
    mosaic = np.block([list(row) for row in images.reshape(n, n, *images.shape[1:])])
    with _figure(title, note, (6.0, 6.0)) as (figure, axis):
        axis.imshow(mosaic, vmin=0, vmax=1, extent=(*x_range, *y_range), aspect="auto")
        axis.set(xlabel="first number of the code", ylabel="second number of the code")
    return figure


def architecture(model: Any, title: str = "", note: str = "") -> Figure:
    """Draw a model's layers from left to right: height for the numbers that leave it (log scale), parameters below.

    model: a built Keras model; models inside it are opened. Needs no Graphviz. Taught in chapter 02.
    """
    rows = [(type(layer).__name__, layer.output.shape[1:], layer.count_params()) for layer in _opened(model)]
    sizes = np.log2([max(2, np.prod(shape, dtype=float)) for _, shape, _ in rows])
    inches, heading = (max(5.0, 0.75 * len(rows)), 3.4), title or f"{model.count_params():,} parameters"
    with _figure(heading, f"{note}; heights logarithmic".removeprefix("; "), inches) as (figure, axis):
        colors = [PALETTE[0] if parameters else PALETTE[8] for *_, parameters in rows]
        axis.bar(range(len(rows)), sizes, 0.5, bottom=-sizes / 2, color=colors)
        for position, (_, shape, parameters) in enumerate(rows):
            axis.text(position, sizes[position] / 2 + 0.2, "×".join(map(str, shape)), ha="center", fontsize=8)
            axis.text(position, -sizes[position] / 2 - 0.2, f"{parameters:,}", ha="center", va="top", fontsize=8)
        axis.set_xticks(range(len(rows)), [name for name, *_ in rows], rotation=40, ha="right", fontsize=8)
        axis.set(yticks=[], ylim=(-sizes.max() / 2 - 1.2, sizes.max() / 2 + 1.2))
        axis.spines["left"].set_visible(False)
    return figure


class Table:
    """Rows of one width with named columns; shown as HTML in a notebook and as text elsewhere."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], caption: str = "") -> None:
        self.caption = caption
        self.cells = [list(rows[0]), *([_text(value) for value in row.values()] for row in rows)]

    def __repr__(self) -> str:
        widths = [max(map(len, column)) for column in zip(*self.cells, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in self.cells]
        return "\n".join(line.rstrip() for line in ([self.caption] if self.caption else []) + lines)

    def _repr_html_(self) -> str:
        head, *body = [[html.escape(cell) for cell in row] for row in self.cells]
        rows = (f'<th scope="row">{name}</th>' + "".join(f"<td>{cell}</td>" for cell in rest) for name, *rest in body)
        columns = "".join(f'<th scope="col">{cell}</th>' for cell in head)
        caption = f"<caption>{html.escape(self.caption)}</caption>" if self.caption else ""
        inner = "</tr><tr>".join(rows)
        return f'<table class="table">{caption}<thead><tr>{columns}</tr></thead><tbody><tr>{inner}</tr></tbody></table>'


def table(rows: Sequence[Mapping[str, Any]], caption: str = "") -> Table:
    """Make a table; the keys of the first row name the columns, and the first column names the rows.

    Floats are shown with four significant digits, from a thousand on without decimals.
    Raises ValueError for no rows or rows that differ in width. Used by every chapter.
    """
    if not rows or len({len(row) for row in rows}) != 1:
        raise ValueError("a table needs at least one row, and rows of one width")
    return Table(rows, caption)


def _text(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:,.0f}" if 1000 <= abs(float(value)) < np.inf else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int | np.integer) and not isinstance(value, bool) else str(value)


def _apply(model: Any, x: np.ndarray) -> np.ndarray:
    return np.asarray(model.predict(x, verbose=0) if hasattr(model, "predict") else model(x))


def _opened(model: Any) -> list[Any]:
    leaves = [leaf for layer in model.layers for leaf in (_opened(layer) if hasattr(layer, "layers") else [layer])]
    return [leaf for leaf in leaves if type(leaf).__name__ != "InputLayer"]


def _name(axis: Any, places: Any, names: Any, looks: Any, reach: float, size: float) -> None:
    """Write names `size` points high at places, each raised where it would cover another in `reach` of the width."""
    axis.autoscale_view()  # the limits are otherwise found when the figure is drawn
    shares = (axis.transScale + axis.transLimits).transform(places)
    scale = 56 * axis.figure.get_figheight()  # the axes' height in points, nearly
    written: list[tuple[float, float]] = []
    for i in np.argsort(shares[:, 1]):
        x, height = shares[i]
        for other, near in sorted(written):
            height = other + size / scale if abs(x - near) < reach and abs(height - other) < size / scale else height
        written.append((height, x))
        offset = (0 if "ha" in looks[i] else 6, scale * (height - shares[i, 1]))
        axis.annotate(names[i], places[i], offset, textcoords="offset points", va="center", **looks[i])


def _draw(axis: Any, image: np.ndarray) -> None:
    axis.imshow(np.squeeze(image), vmin=0, vmax=1)
    axis.set(xticks=[], yticks=[], frame_on=False)
