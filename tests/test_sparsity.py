"""The layers of chapter 08 and their model, against NumPy by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from aebook import models, plots, train
from aebook.layers import KLSparsity, KSparse, L1Sparsity

CODES = np.random.default_rng(0).normal(size=(64, 20)).astype("float32")
RATES = 1 / (1 + np.exp(-CODES))


def divergence(rate, mean):
    return (rate * np.log(rate / mean) + (1 - rate) * np.log((1 - rate) / (1 - mean))).sum()


def penalty(layer, codes, **options):
    np.testing.assert_array_equal(np.asarray(layer(codes, **options)), codes)
    (loss,) = layer.losses
    return float(loss)


# ---- top-k


@pytest.mark.parametrize("k", [1, 3, 20])
def test_k_sparse_keeps_the_k_largest_and_nothing_else(k):
    expected = np.zeros_like(CODES)
    for row, code in zip(expected, CODES, strict=True):
        largest = np.argsort(-code)[:k]
        row[largest] = code[largest]
    np.testing.assert_array_equal(np.asarray(KSparse(k)(CODES)), expected)


def test_k_sparse_keeps_ties():
    np.testing.assert_array_equal(np.asarray(KSparse(2)(np.array([[1.0, 3.0, 1.0, 0.5]]))), [[1.0, 3.0, 1.0, 0.0]])


@pytest.mark.tensorflow
def test_gradients_reach_the_kept_numbers_only():
    code = tf.Variable(CODES)
    with tf.GradientTape() as tape:
        kept = KSparse(3)(code)
        total = tf.reduce_sum(kept * 2)
    np.testing.assert_array_equal(tape.gradient(total, code).numpy(), 2.0 * (kept.numpy() != 0))


@pytest.mark.parametrize("k", [0, 21])
def test_k_sparse_refuses_a_k_that_the_code_cannot_have(k):
    with pytest.raises(ValueError, match=f"the {k} largest of 20 units"):
        KSparse(k)(CODES)


def test_another_k_takes_another_layer_and_the_same_weights():
    model, x = models.sparse(20, KSparse(3)), np.random.default_rng(0).random((8, 28, 28, 1), "float32")
    model.encoder.predict(x, verbose=0)
    with pytest.raises(AttributeError, match="k is 3 and stays so"):
        model.encoder.layers[-1].k = 7
    assert ((model.encoder.predict(x, verbose=0) != 0).sum(axis=1) == 3).all()
    wider = models.sparse(20, KSparse(7))
    wider.set_weights(model.get_weights())
    assert ((wider.encoder.predict(x, verbose=0) != 0).sum(axis=1) == 7).all()


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (KSparse(3), "k"),
        (L1Sparsity(0.1), "weight"),
        (KLSparsity(0.1, 0.2), "rate"),
        (KLSparsity(0.1, 0.2), "weight"),
        (KLSparsity(0.1, 0.2), "momentum"),
    ],
)
def test_what_a_layer_was_made_with_stays_as_soon_as_it_is_built(layer, name):
    setattr(layer, name, getattr(layer, name))  # before that, nothing was compiled with it
    layer(RATES)
    before = getattr(layer, name)
    with pytest.raises(AttributeError, match="compiled would keep the old value"):
        setattr(layer, name, 0.5)
    assert getattr(layer, name) == before


def test_numbers_that_make_no_sense_are_refused():
    for make in (lambda: L1Sparsity(-0.1), lambda: KLSparsity(0.1, -1.0), lambda: L1Sparsity(float("nan"))):
        with pytest.raises(ValueError, match="is less than 0"):
            make()
    for k in (2.5, True, "3", None):
        with pytest.raises(ValueError, match="no whole number"):
            KSparse(k)


# ---- L1


def test_l1_is_the_sum_over_units_averaged_over_images():
    assert penalty(L1Sparsity(0.3), CODES) == pytest.approx(0.3 * np.abs(CODES).sum() / 64, rel=1e-6)


def test_l1_does_not_depend_on_the_batch():
    layer = L1Sparsity(1.0)
    small = np.mean([penalty(layer, part) for part in np.split(CODES, 4)])
    assert small == pytest.approx(penalty(layer, CODES), rel=1e-6)


# ---- KL


def test_kl_without_memory_is_that_of_the_batch_mean():
    expected = 0.7 * divergence(0.1, RATES.mean(axis=0))
    assert penalty(KLSparsity(0.1, 0.7, momentum=0.0), RATES, training=True) == pytest.approx(expected, rel=1e-5)


def test_kl_follows_a_running_mean_in_training_and_only_reads_it_otherwise():
    layer, mean = KLSparsity(0.1, 1.0, momentum=0.8), np.full(20, 0.1)
    for part in np.split(RATES, 4):
        mean = 0.8 * mean + 0.2 * part.mean(axis=0)
        assert penalty(layer, part, training=True) == pytest.approx(divergence(0.1, mean), rel=1e-4)
    for part in np.split(RATES, 4):
        assert penalty(layer, part, training=False) == pytest.approx(divergence(0.1, mean), rel=1e-4)


@pytest.mark.tensorflow
def test_kl_passes_the_slope_at_the_running_mean_to_the_batch_at_full_strength():
    layer, code = KLSparsity(0.1, 2.0, momentum=0.8), tf.Variable(RATES)
    with tf.GradientTape() as tape:
        layer(code, training=True)
        (loss,) = layer.losses
    mean = 0.8 * 0.1 + 0.2 * RATES.mean(axis=0)
    slope = 2.0 * (-0.1 / mean + 0.9 / (1 - mean)) / 64
    np.testing.assert_allclose(tape.gradient(loss, code).numpy(), np.broadcast_to(slope, RATES.shape), rtol=1e-4)


def test_kl_stays_finite_for_units_that_never_or_always_speak():
    assert np.isfinite(penalty(KLSparsity(0.1, 1.0, 0.0), np.array([[0.0, 1.0]], "float32"), training=True))


@pytest.mark.parametrize(("rate", "momentum"), [(0.0, 0.9), (1.0, 0.9), (0.1, 1.0), (0.1, -0.1)])
def test_kl_refuses_impossible_rates_and_momenta(rate, momentum):
    with pytest.raises(ValueError, match=r"must lie in"):
        KLSparsity(rate, 1.0, momentum)


# ---- the model


@pytest.mark.parametrize(
    "layer", [KSparse(3), L1Sparsity(0.1), KLSparsity(0.1, 0.2, 0.3)], ids=lambda layer: type(layer).__name__
)
def test_sparse_models_come_back_from_disk(layer, tmp_path):
    x = np.random.default_rng(0).random((4, 28, 28, 1), "float32")
    model = models.sparse(30, layer, "sigmoid")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(np.asarray(loaded(x)), np.asarray(model(x)), atol=1e-6)
    copy = loaded.encoder.layers[-1].get_config()
    assert {k: v for k, v in copy.items() if k != "dtype"} == {
        k: v for k, v in layer.get_config().items() if k != "dtype"
    }


def test_a_model_tells_its_layers_that_it_is_in_training():
    x = np.random.default_rng(0).random((8, 28, 28, 1), "float32")
    model = models.sparse(30, KLSparsity(0.1, 1.0), "sigmoid")
    train.fit(model, (x, x), epochs=1)
    moved = np.asarray(model.encoder.layers[-1].mean)
    assert (moved > 0.101).all()  # the codes' mean is about one half, the running mean began at 0.1


def test_units_start_by_looking_for_their_own_picture_and_pictures_keep_length_one():
    x = np.random.default_rng(0).random((8, 28, 28, 1), "float32")
    mean = x.reshape(8, 784).mean(axis=0)
    model = models.sparse(30, None, "sigmoid", mean, gain=3.0, bias=-1.0)
    pictures, c = model.decoder.layers[0].get_weights()
    np.testing.assert_allclose(np.linalg.norm(pictures, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(c, mean)
    expected = 1 / (1 + np.exp(1 - 3 * (x.reshape(8, 784) - mean) @ pictures.T))
    np.testing.assert_allclose(np.asarray(model.encoder(x)), expected, atol=1e-5)
    train.fit(model, (x, x), epochs=2)
    np.testing.assert_allclose(np.linalg.norm(model.decoder.layers[0].get_weights()[0], axis=1), 1, rtol=1e-4)


# ---- the figure


def test_histograms_share_their_edges_and_divide_their_counts():
    figure = plots.histograms({"a": np.array([0.0, 0.1, 1.0]), "b": np.array([0.9])}, per=2, bins=2, xlabel="x")
    (first, second), values = figure.axes, [axis.patches[0].get_data() for axis in figure.axes]
    np.testing.assert_array_equal(values[0].values, [1.0, 0.5])
    np.testing.assert_array_equal(values[1].values, [0.0, 0.5])
    np.testing.assert_array_equal(values[0].edges, values[1].edges)
    assert first.get_yscale() == "log" and first.get_ylim() == second.get_ylim() and first.get_title("left") == "a"
