"""Noise against imgaug's own augmenters, the binomial law, and itself through the training pipeline."""

import numpy as np
import pytest
from imgaug import augmenters
from scipy import stats

from aebook import noise

GREY = np.full((2000, 8, 8, 1), 0.5, "float32")
KINDS = ["gaussian", "salt_and_pepper", "pure_salt_and_pepper", "masking"]


def corrupt(kind, x, level, seed=0):
    """By the arrays' function of the same name."""
    if kind == "pure_salt_and_pepper":
        return noise.salt_and_pepper(x, level, seed, pure=True)
    return getattr(noise, kind)(x, level, seed)


def stream(kind, x, level, **options):
    """One epoch of the pipeline: noisy and clean images."""
    noisy, clean = zip(*noise.batches(x, kind, level, **options), strict=True)
    return np.concatenate(noisy), np.concatenate(clean)


both = pytest.mark.parametrize("source", [corrupt, lambda *given: stream(*given)[0]], ids=["array", "pipeline"])


@pytest.mark.parametrize("kind", KINDS)
def test_noise_keeps_shape_type_and_range_and_follows_its_seed(kind):
    x = np.random.default_rng(0).random((50, 8, 8, 1), "float32")
    noisy = corrupt(kind, x, 0.3)
    assert noisy.shape == x.shape and noisy.dtype == x.dtype == np.float32
    assert noisy.min() >= 0 and noisy.max() <= 1
    np.testing.assert_array_equal(noisy, corrupt(kind, x, 0.3))
    assert (noisy != corrupt(kind, x, 0.3, seed=1)).mean() > 0.05
    np.testing.assert_array_equal(corrupt(kind, x, 0.0), x)


@both
@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize("p", [0.1, 0.5, 1.0])
def test_the_replaced_share_is_binomial(source, kind, p):
    share = (source(kind, GREY, p) != 0.5).mean()
    assert abs(share - p) <= 4 * np.sqrt(p * (1 - p) / GREY.size) + 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_the_pipeline_draws_from_the_distribution_of_the_array(kind):
    array, pipeline = corrupt(kind, GREY, 0.4), stream(kind, GREY, 0.4)[0]
    assert stats.ks_2samp(array.ravel(), pipeline.ravel()).pvalue > 1e-4


def test_salt_and_pepper_is_imgaugs_own():
    mixed = noise.salt_and_pepper(GREY, 0.2)
    bytes_ = augmenters.SaltAndPepper(0.2, seed=5)(images=np.full(GREY.shape, 128, "uint8"))
    theirs, ours = bytes_[bytes_ != 128], mixed[mixed != 0.5]
    assert stats.ks_2samp(theirs, np.round(ours * 255)).pvalue > 1e-4
    assert stats.kstest(ours, stats.beta(0.5, 0.5).cdf).pvalue > 1e-4
    assert np.isin(theirs, [0, 255]).mean() < 0.1


def test_pure_salt_and_pepper_is_black_or_white_in_equal_parts():
    mixed = noise.salt_and_pepper(GREY, 0.2, pure=True)
    replaced = mixed[mixed != 0.5]
    assert set(np.unique(replaced)) == {0, 1}
    assert abs(replaced.mean() - 0.5) <= 4 * 0.5 / np.sqrt(replaced.size)


def test_gaussian_noise_has_the_asked_spread_and_is_clipped():
    noisy = noise.gaussian(GREY, 0.1) - 0.5
    assert noisy.std() == pytest.approx(0.1, rel=0.01) and abs(noisy.mean()) < 4 * 0.1 / np.sqrt(GREY.size)
    assert stats.kstest(noisy.ravel() / 0.1, "norm").pvalue > 1e-4
    clipped = noise.gaussian(GREY, 2.0)
    assert (clipped == 0).mean() == pytest.approx(stats.norm.cdf(-0.25), abs=0.01)


@both
@pytest.mark.parametrize("kind", KINDS)
def test_neighbouring_pixels_and_images_get_noise_of_their_own(source, kind):
    drawn = source(kind, GREY, 0.4).reshape(len(GREY), -1)
    for other in (np.roll(drawn, 1, axis=1), np.roll(drawn, 1, axis=0)):
        assert abs(np.corrcoef(drawn.ravel(), other.ravel())[0, 1]) < 4 / np.sqrt(drawn.size)


def test_the_pipeline_pairs_noise_with_its_clean_image_and_shows_each_once():
    x = (np.arange(300, dtype="float32") / 300)[:, None, None, None] * np.ones((1, 4, 4, 1), "float32")
    noisy, clean = stream("gaussian", x, 0.001, batch_size=32)
    assert np.abs(noisy - clean).max() < 0.01
    np.testing.assert_array_equal(np.sort(clean[:, 0, 0, 0]), x[:, 0, 0, 0])
    assert (clean[:, 0, 0, 0] != x[:, 0, 0, 0]).mean() > 0.9


def test_the_pipeline_is_new_in_every_epoch_and_the_same_for_every_seed():
    x = np.ones((64, 4, 4, 1), "float32")  # all alike: what differs is the noise, not the order

    def epochs(seed):
        pipeline = noise.batches(x, "masking", 0.5, batch_size=64, seed=seed)
        return [next(iter(pipeline))[0].numpy() for _ in range(2)]

    (first, second), again, other = epochs(0), epochs(0), epochs(1)
    np.testing.assert_array_equal([first, second], again)
    for one, two in [(first, second), (first, other[0])]:
        assert 0.4 < (one != two).mean() < 0.6


@pytest.mark.parametrize("kind, level", [("gaussian", -0.1), ("salt_and_pepper", 1.1), ("masking", -0.1)])
def test_impossible_levels_are_refused(kind, level):
    for call in (lambda: corrupt(kind, GREY, level), lambda: noise.batches(GREY, kind, level)):
        with pytest.raises(ValueError, match=f"{kind} noise of {level}"):
            call()


@pytest.mark.parametrize("x", [GREY * 255, GREY - 1, GREY[:0], GREY * np.nan], ids=["bytes", "negative", "none", "nan"])
@pytest.mark.parametrize("kind", KINDS)
def test_images_outside_the_range_are_refused(kind, x):
    with pytest.raises(ValueError, match="divide bytes by 255"):
        corrupt(kind, x, 0.1)
    with pytest.raises(ValueError, match="divide bytes by 255"):
        noise.batches(x, kind, 0.1)


def test_an_unknown_noise_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="unknown noise 'snow'; choose one of gaussian, salt_and_pepper"):
        noise.batches(GREY, "snow", 0.1)


@both
@pytest.mark.parametrize("given", ["bool", "uint8", "int64", "float16", "float64", list])
@pytest.mark.parametrize("kind", KINDS)
def test_white_images_of_every_type_get_the_same_noise(source, kind, given):
    x = np.ones((50, 4, 4, 1), "float32")
    same = x.tolist() if given is list else x.astype(given)
    noisy = source(kind, same, 0.4)
    assert noisy.dtype.kind == "f"
    np.testing.assert_allclose(noisy, source(kind, x, 0.4), atol=1e-2)  # half precision has three digits
    assert (noisy != 1).mean() > 0.15


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "x",
    [
        np.full((3, 4), 255, "uint8"),
        np.full((3, 4), 2, "int64"),
        np.ma.masked_equal(np.ones((3, 4)), 1),
        None,
        [[1], []],
    ],
    ids=["bytes", "integers", "masked", "nothing", "ragged"],
)
def test_what_is_no_image_is_refused_in_words(kind, x):
    for call in (lambda: corrupt(kind, x, 0.1), lambda: noise.batches(x, kind, 0.1)):
        with pytest.raises(ValueError, match="Noise needs images in"):
            call()


@pytest.mark.parametrize("level", [np.nan, np.inf, "0.1", None])
def test_a_level_that_is_no_number_is_refused(level):
    with pytest.raises(ValueError, match="gaussian noise of"):
        noise.gaussian(GREY, level)


@pytest.mark.parametrize("size", [0, -1, 2.5])
def test_impossible_batches_are_refused(size):
    with pytest.raises(ValueError, match="batch_size="):
        noise.batches(GREY, "masking", 0.1, batch_size=size)
