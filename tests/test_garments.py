"""The drawn garments: what they promise, each factor by something measurable, and whether they pass for clothing."""

import numpy as np
import pytest
from scipy import ndimage

from aebook import data, garments

NAMES = {name: label for label, name in enumerate(garments.CLASSES)}
EVERY = pytest.mark.parametrize("name", garments.CLASSES)
TOPS = ("T-shirt/top", "Pullover", "Dress", "Coat", "Shirt")


def one(name: str, **changed: float) -> np.ndarray:
    """One plain garment of medium factors, (28, 28), with some factors changed."""
    factors = {factor: 0.5 for factor in garments.FACTORS} | {"texture": 0.0} | changed
    return garments.render(NAMES[name], np.array([[factors[factor] for factor in garments.FACTORS]]))[0, ..., 0]


def low_middle_high(name: str, factor: str, measure) -> list[float]:
    return [measure(one(name, **{factor: value})) for value in (0.0, 0.5, 1.0)]


def covered(image: np.ndarray) -> np.ndarray:
    return image > 0.1


def area(image: np.ndarray) -> int:
    return covered(image).sum()


def rows(image: np.ndarray) -> int:
    return covered(image).any(1).sum()


def reach(image: np.ndarray) -> int:
    """The lowest row of a sleeve: of what lies left of any body."""
    return np.flatnonzero(np.append(True, covered(image)[:, :6].any(1))).max()


def arch(image: np.ndarray) -> int:
    """Empty pixels between a shoe and the ground."""
    lowest = [28 - column[::-1].argmax() for column in covered(image).T if column.any()]
    return sum(max(lowest) - low for low in lowest)


def holes(image: np.ndarray) -> int:
    return (ndimage.binary_fill_holes(covered(image)) & ~covered(image)).sum()


def axis(image: np.ndarray) -> float:
    """Angle of the longer principal axis, degrees, 0 along x, positive from x towards y (down)."""
    y, x = np.nonzero(covered(image))
    (xx, xy), (_, yy) = np.cov(x, y)
    return np.rad2deg(0.5 * np.arctan2(2 * xy, xx - yy))


@pytest.fixture(scope="module")
def drawn():
    return garments.draw(2_000, seed=7)


def test_shapes_types_and_ranges(drawn):
    images, labels, factors = drawn
    assert images.shape == (2_000, 28, 28, 1) and images.dtype == np.float32
    assert labels.shape == (2_000,) and labels.dtype == np.int64
    assert factors.shape == (2_000, len(garments.FACTORS)) and factors.dtype == np.float32
    assert images.min() == 0 and 0.9 < images.max() <= 1
    assert factors.min() >= 0 and factors.max() < 1


def test_same_seed_same_garments_other_seed_others():
    first, again, other = garments.draw(50, seed=3), garments.draw(50, seed=3), garments.draw(50, seed=4)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_classes_are_balanced_and_shuffled():
    _, labels, _ = garments.draw(1_003)
    counts = np.bincount(labels, minlength=10)
    assert counts.sum() == 1_003 and counts.max() - counts.min() == 1
    assert len(set(labels[:100])) == 10
    assert abs(np.corrcoef(labels[:-1], labels[1:])[0, 1]) < 0.15  # neither sorted nor 0, 1, 2, ...


def test_factors_are_uniform_and_independent(drawn):
    _, labels, factors = drawn
    assert np.abs(np.quantile(factors, [0.1, 0.5, 0.9], axis=0).T - [0.1, 0.5, 0.9]).max() < 0.05
    among = np.corrcoef(np.column_stack([labels, factors]).T) - np.eye(len(garments.FACTORS) + 1)
    assert np.abs(among).max() < 0.1


def test_label_and_factors_decide_the_image_whatever_the_batch(drawn):
    images, labels, factors = drawn
    np.testing.assert_allclose(garments.render(labels[5:9], factors[5:9]), images[5:9], atol=1e-6)
    np.testing.assert_allclose(garments.render(int(labels[5]), factors[5:6]), images[5:6], atol=1e-6)


def test_greys_are_those_of_fashion_mnist(drawn):
    images, labels, _ = drawn
    assert images.mean() == pytest.approx(0.286, abs=0.025)  # 0.286 is the published training images' mean
    assert images[images > 0].std() == pytest.approx(0.27, abs=0.05)
    brightness = [images[labels == label].mean() for label in range(10)]
    assert np.argmin(brightness) == NAMES["Sandal"] and min(brightness) < 0.16  # published: 0.137


def test_background_is_exactly_zero(drawn):
    images, labels, _ = drawn
    empty = (images == 0).mean((1, 2, 3))
    assert empty.min() > 0.1 and 0.4 < empty.mean() < 0.65
    assert not images[labels == NAMES["Trouser"], :, 0].any() and not images[labels == NAMES["Sneaker"], 0].any()


def test_garments_fill_the_frame_as_the_real_ones_do(drawn):
    images, labels, _ = drawn
    tall = np.median((images > 0.1).any((2, 3)).sum(1)[np.isin(labels, [0, 1, 2, 3, 4, 6])])
    wide = np.median((images > 0.1).any((1, 3)).sum(1)[np.isin(labels, [5, 7, 9])])
    assert tall >= 27 and wide >= 27


def test_shapes_fit_their_names():
    runs = {name: (np.diff(covered(one(name))[24].astype(int)) == 1).sum() for name in garments.CLASSES}
    assert runs["Trouser"] == 2 and runs["Pullover"] == 3 and runs["T-shirt/top"] == runs["Dress"] == 1
    assert one("Coat")[18, 13:15].max() < 0.8 * one("Coat")[18, 10]  # open in front
    flatness = {name: rows(one(name)) / covered(one(name)).any(0).sum() for name in garments.CLASSES}
    assert min(flatness, key=flatness.get) == "Sneaker" and max(flatness, key=flatness.get) == "Trouser"
    assert holes(one("Bag")) > 10 and holes(one("Sandal")) > 10 and not holes(one("Ankle boot"))
    top_left = {name: covered(one(name))[:12, :9].sum() for name in ("Ankle boot", "Sandal", "Sneaker")}
    assert not any(top_left.values())  # toes point left


def test_classes_differ(drawn):
    images, labels, _ = drawn
    means = np.stack([images[labels == label].mean(0) for label in range(10)])
    others, truth, _ = garments.draw(500, seed=8)
    distances = ((others[:, None] - means) ** 2).sum((2, 3, 4))
    assert (distances.argmin(1) == truth).mean() > 0.6


@EVERY
@pytest.mark.parametrize("factor", garments.FACTORS)
def test_every_factor_changes_every_class(name, factor):
    change = np.abs(one(name, **{"texture": 0.7, factor: 0.0}) - one(name, **{"texture": 0.7, factor: 1.0}))
    assert change.max() > 0.1 and change.mean() > 0.002


@EVERY
def test_shade_is_brightness(name):
    low, middle, high = low_middle_high(name, "shade", np.mean)
    assert high > 1.2 * middle and middle > 2 * low
    assert np.array_equal(one(name, shade=0.3) > 0, one(name, shade=1) > 0)


@EVERY
def test_length_is_height(name):
    middle_columns = slice(11, 17) if name in TOPS else slice(28)
    low, middle, high = low_middle_high(name, "length", lambda image: rows(image[:, middle_columns]))
    assert low <= middle <= high and high >= low + 2


@EVERY
def test_width_is_area(name):
    low, middle, high = low_middle_high(name, "width", area)
    assert low < middle < high and high > 1.08 * low


@pytest.mark.parametrize(
    ("name", "measure", "least"),
    [
        *((name, reach, 3) for name in TOPS),
        ("Trouser", lambda image: area(image[22:26]), 8),
        ("Sandal", arch, 60),
        ("Ankle boot", arch, 40),
        ("Bag", holes, 40),
    ],
)
def test_sleeve_is_reach_of_sleeves_heels_and_handles(name, measure, least):
    low, middle, high = low_middle_high(name, "sleeve", measure)
    assert low <= middle <= high and high - low >= least


@pytest.mark.parametrize("name", ["T-shirt/top", "Pullover", "Dress", "Shirt"])
def test_neck_opens_the_neckline(name):
    low, middle, high = low_middle_high(name, "neck", lambda image: image[:7, 12:16].mean())
    assert low > middle > high


@EVERY
def test_texture_is_roughness(name):
    plain = one(name)
    inside = plain > 0.1
    middle, high = ((one(name, texture=value, pattern=0.5)[inside] / plain[inside]).std() for value in (0.5, 1.0))
    assert high > 2 * middle > 0.04


@pytest.mark.parametrize("name", ["T-shirt/top", "Trouser", "Pullover", "Coat", "Bag", "Ankle boot"])
def test_pattern_turns_stripes_from_across_to_upright(name):
    inner = ndimage.binary_erosion(covered(one(name)), iterations=2)

    def upright(pattern: float) -> float:
        stripes = one(name, texture=1, pattern=pattern, detail=0) - one(name, pattern=pattern, detail=0)
        return (
            np.abs(np.diff(stripes, axis=1))[inner[:, 1:]].mean() / np.abs(np.diff(stripes, axis=0))[inner[1:]].mean()
        )

    assert upright(0) < 0.8 and upright(1) > 1.25


@pytest.mark.parametrize("name", ["Trouser", "Dress", "Coat", "Ankle boot"])
def test_tilt_turns_the_principal_axis_by_eight_degrees(name):
    turned = axis(one(name, tilt=1)) - axis(one(name, tilt=0))
    assert (turned + 90) % 180 - 90 == pytest.approx(8, abs=1.2)


@EVERY
def test_tilt_is_a_rotation(name):
    upright, left, right = (one(name, tilt=value) for value in (0.5, 0, 1))
    turned = ndimage.rotate(upright, -4, reshape=False, order=1)  # clockwise on the screen
    assert np.abs(turned - right).mean() < 0.6 * np.abs(turned - left).mean()


@pytest.mark.parametrize("n", [0, -3])
def test_no_garments_are_refused(n):
    with pytest.raises(ValueError, match=f"n must be at least 1, got {n}"):
        garments.draw(n)


def test_negative_seed_is_refused():
    with pytest.raises(ValueError):
        garments.draw(10, seed=-1)


@pytest.mark.parametrize("factors", [np.zeros(9), np.zeros((2, 8)), np.full((2, 9), 1.1), np.full((2, 9), np.nan)])
def test_bad_factors_are_refused(factors):
    with pytest.raises(ValueError, match=r"factors must be \(n, 9\) in \[0, 1\].*sleeve"):
        garments.render(0, factors)


@pytest.mark.parametrize("labels", [-1, 10, [0], [0, 1, 2], [0, 10], [0.5, 1]])
def test_bad_labels_are_refused(labels):
    with pytest.raises(ValueError, match="labels must be 2 integers from 0 to 9"):
        garments.render(labels, np.full((2, 9), 0.5))


@pytest.mark.parametrize("given", ["uint8", "bool", "float16", "float64", list])
def test_labels_and_factors_of_every_type_draw_the_same(given):
    labels, factors = np.array([0, 1]), np.eye(9)[:2]
    same = [values.tolist() if given is list else values.astype(given) for values in (labels, factors)]
    np.testing.assert_array_equal(garments.render(*same), garments.render(labels, factors))


@pytest.mark.parametrize(("n", "seed"), [(2.5, 0), ("3", 0), (3, 0.5)])
def test_what_is_no_whole_number_is_refused(n, seed):
    with pytest.raises(ValueError, match="is no whole number"):
        garments.draw(n, seed)


@pytest.mark.data
def test_a_network_that_knows_the_real_ones_names_the_drawn_ones(drawn):
    """Half of the training images and four epochs give 88 % on the real ones; a better one names more drawn ones."""
    import keras

    clothes = data.load("fashion-mnist", source="full", n_valid=0)

    keras.utils.set_random_seed(0)
    layers = keras.layers
    network = keras.Sequential(
        [
            layers.Conv2D(16, 5, strides=2, padding="same", activation="relu"),
            layers.Conv2D(32, 3, strides=2, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(64, activation="relu"),
            layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    network.fit(clothes.x_train[:30_000], clothes.y_train[:30_000], batch_size=128, epochs=4, verbose=0)
    assert network.evaluate(clothes.x_test, clothes.y_test, batch_size=500, verbose=0)[1] >= 0.85
    images, labels, _ = drawn
    named = network.predict(images, batch_size=500, verbose=0).argmax(1) == labels
    assert named.mean() >= 0.75  # the bar is 0.60
    assert min(named[labels == label].mean() for label in range(10)) > 0.2
