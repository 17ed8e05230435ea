"""Figures show what they are given: read back from the figure, not from a file."""

import itertools
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from aebook import models, plots

RNG = np.random.default_rng(0)
IMAGES = RNG.random((12, 28, 28, 1), "float32")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def shown(figure):
    return [axis.images[0].get_array() for axis in figure.axes if axis.images]


def words(figure):
    texts = [text.get_text() for axis in figure.axes for text in axis.texts]
    return texts + [axis.get_title(loc) for axis in figure.axes for loc in ("left", "center")]


def test_every_figure_carries_its_finding_and_its_source():
    figure = plots.image_rows({"": IMAGES[:1]}, title="A cloud of dots", note="noise, fast")
    assert figure.get_suptitle() == "A cloud of dots" and figure.get_supxlabel() == "noise, fast"
    np.testing.assert_array_equal(shown(figure)[0], IMAGES[0, ..., 0])


def test_reconstructions_stand_below_their_originals():
    figure = plots.show_reconstructions({"half": lambda x: x / 2, "none": lambda x: x * 0}, IMAGES, n_images=3)
    rows = shown(figure)
    np.testing.assert_array_equal(rows[1], IMAGES[1, ..., 0])
    np.testing.assert_array_equal(rows[3 + 1], IMAGES[1, ..., 0] / 2)
    assert not rows[6 + 1].any() and len(rows) == 9
    assert [axis.get_ylabel() for axis in figure.axes[::3]] == ["original", "half", "none"]


def test_a_keras_model_may_be_shown_directly():
    model = models.linear(2)
    rows = shown(plots.show_reconstructions(model, IMAGES, n_images=2))
    np.testing.assert_allclose(rows[2], model.predict(IMAGES[:1], verbose=0)[0, ..., 0], atol=1e-5)


def test_all_images_share_one_scale():
    figure = plots.denoising_rows(IMAGES, IMAGES * 0.1, {"model": IMAGES}, n_images=2)
    assert {axis.images[0].get_clim() for axis in figure.axes} == {(0, 1)} and len(shown(figure)) == 6


def test_rows_of_different_length_are_refused():
    with pytest.raises(ValueError, match=r"\[1, 2\] images"):
        plots.image_rows({"a": IMAGES[:1], "b": IMAGES[:2]})


def test_columns_of_images_have_names_and_many_do_not_make_a_wider_figure():
    """A phone shrinks a figure to its screen, and the names with it."""
    rows = {"a": IMAGES, "b": IMAGES}
    figure = plots.image_rows(rows, columns=[f"n{i}" for i in range(12)])
    assert [axis.get_title("center") for axis in figure.axes] == [f"n{i}" for i in range(12)] + [""] * 12
    assert figure.get_figwidth() == plots.image_rows({name: x[:8] for name, x in rows.items()}).get_figwidth() <= 6.5


def test_what_holds_no_images_is_a_vector_graphic_the_same_each_time():
    """With dots as pixels, of which there are thousands, and without a date."""
    drawn = [plots.curves([1, 2], {"a": [1, 2]})._repr_svg_() for _ in range(2)]
    assert drawn[0] == drawn[1] and drawn[0].lstrip().startswith("<?xml") and "<image" not in drawn[0]
    dots = plots.latent_scatter(RNG.normal(size=(2_000, 2)), RNG.integers(0, 3, 2_000))._repr_svg_()
    assert dots.count("<image") == 1 and len(dots) < 400_000
    assert not hasattr(plots.image_rows({"": IMAGES}), "_repr_svg_")


def test_history_draws_both_losses_and_the_kept_epoch():
    run = SimpleNamespace(train=[3, 2, 1], valid=[4, 2.5, 3], best_epoch=2)
    axis = plots.history({"a": run, "b": run}).axes[0]
    lines = [line.get_ydata().tolist() for line in axis.lines]
    assert lines[:3] == [[3, 2, 1], [4, 2.5, 3], [2.5]] and len(lines) == 6
    assert [text.get_text() for text in axis.get_legend().get_texts()][:2] == ["a training", "a validation"]
    assert len(plots.history(run).axes[0].lines) == 3


def test_curves_are_labelled_where_they_end():
    axis = plots.curves([2, 8], {"PCA": [0.4, 0.1], "model": [0.3, 0.2]}, log="xy", ylabel="MSE").axes[0]
    assert [(text.get_text(), text.xy) for text in axis.texts] == [("PCA", (8, 0.1)), ("model", (8, 0.2))]
    assert (axis.get_xscale(), axis.get_yscale(), axis.get_ylabel()) == ("log", "log", "MSE")


def test_labels_of_curves_that_end_together_stand_apart():
    lines = {"a": [0, 100], "b": [0, 101], "c": [0, 20], "d": [0, 99]}
    figure = plots.curves([1, 2], lines)
    figure.draw_without_rendering()
    boxes = {text.get_text(): text.get_window_extent() for text in figure.axes[0].texts}
    assert boxes["d"].y1 <= boxes["a"].y0 and boxes["a"].y1 <= boxes["b"].y0
    end = figure.axes[0].transData.transform((2, 20))[1]
    assert abs(boxes["c"].y0 + boxes["c"].y1 - 2 * end) < 6  # no neighbour: it stays at its line's height


def test_latent_scatter_names_each_class_at_its_median():
    codes, labels = RNG.normal(size=(30, 2)), np.arange(30) % 3
    axis = plots.latent_scatter(codes, labels, names=["shoe", "bag", "coat"]).axes[0]
    places = {text.get_text(): text.xy for text in axis.texts}
    assert set(places) == {"shoe", "bag", "coat"}
    np.testing.assert_allclose(places["bag"], np.median(codes[labels == 1], axis=0))
    assert sum(len(points.get_offsets()) for points in axis.collections) == 30
    assert {text.get_text() for text in plots.latent_scatter(codes, labels).axes[0].texts} == {"0", "1", "2"}


def test_names_of_classes_that_lie_together_stand_apart():
    codes = np.repeat([[0, 0], [0.1, 0.0], [0, 0.1], [9, 9], [9, 0]], 5, axis=0) + RNG.normal(0, 0.01, (25, 2))
    figure = plots.latent_scatter(codes, np.repeat(range(5), 5), names=["shirt", "coat", "dress", "bag", "shoe"])
    figure.draw_without_rendering()
    boxes = {text.get_text(): text.get_window_extent() for text in figure.axes[0].texts}
    pairs = itertools.combinations(boxes, 2)
    assert not [(a, b) for a, b in pairs if boxes[a].overlaps(boxes[b])]
    place = figure.axes[0].transData.transform((9, 0))[1]
    assert abs(boxes["shoe"].y0 + boxes["shoe"].y1 - 2 * place) < 6  # level with others, but far from them


def test_latent_grid_has_the_second_number_upwards():
    def decoder(codes):
        return np.broadcast_to((codes[:, 0] + 10 * codes[:, 1])[:, None, None, None], (len(codes), 2, 2, 1))

    mosaic = shown(plots.latent_grid(decoder, (0, 2), (0, 1), n=3))[0]
    np.testing.assert_allclose(mosaic[::2, ::2], [[10, 11, 12], [5, 6, 7], [0, 1, 2]])


def test_architecture_writes_shapes_and_parameters_of_inner_layers():
    figure = plots.architecture(models.linear(8))
    assert {"28×28×1", "8", "784", "6,280", "7,056"} <= set(words(figure))
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["Flatten", "Dense", "Dense", "Reshape"]
    assert figure.get_suptitle() == "13,336 parameters"


def test_a_table_reads_as_text_and_as_html():
    table = plots.table([{"model": "PCA <30>", "MSE": 0.0156789, "weights": 12345}], caption="Test & tell")
    assert str(table).splitlines()[1:] == ["model     MSE      weights", "PCA <30>  0.01568  12,345"]
    markup = table._repr_html_()
    assert "<caption>Test &amp; tell</caption>" in markup and '<th scope="row">PCA &lt;30&gt;</th>' in markup


@pytest.mark.parametrize("rows", [[], [{"a": 1}, {"a": 1, "b": 2}]])
def test_tables_of_no_width_or_two_are_refused(rows):
    with pytest.raises(ValueError, match="one width"):
        plots.table(rows)


def luminance(color):
    return np.dot(
        np.where((c := np.array(to_rgb(color))) <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4),
        [0.2126, 0.7152, 0.0722],
    )


def test_neighbours_in_the_palette_differ_in_lightness():
    steps = np.abs(np.diff([luminance(color) for color in plots.PALETTE[:8]]))
    assert len(set(plots.PALETTE)) == 10 and steps.min() > 0.05


def test_names_of_lines_can_be_read_whatever_their_colour():
    """On white, by WCAG's contrast of at least 4.5; the lines themselves may be pale."""

    def contrast(color):
        rgb = np.array(to_rgb(color))
        linear = np.where(rgb <= 0.03928, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05)

    axis = plots.curves([1, 2], {f"line {i}": [i, i + 1] for i in range(len(plots.PALETTE))}).axes[0]
    assert min(contrast(text.get_color()) for text in axis.texts) >= 4.5 > min(map(contrast, plots.PALETTE))


def test_a_logarithmic_axis_says_so():
    figure = plots.histograms({"a": RNG.normal(size=99), "b": RNG.normal(size=99)}, xlabel="nats", ylabel="images")
    assert [axis.get_xlabel() for axis in figure.axes] == ["nats", "nats"]
    assert figure.axes[0].get_ylabel() == "images\n(logarithmic)"
    many = plots.histograms({str(i): RNG.normal(size=9) for i in range(4)}, xlabel="a long name").axes
    assert [axis.get_xlabel() for axis in many] == ["a long name", "", "", ""]
