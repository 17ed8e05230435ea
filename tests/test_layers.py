"""Layers against NumPy, and through saving."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from aebook.layers import DenseTranspose, Sampling, TiedConv2DTranspose


def tied_pair(activation="tanh"):
    dense = keras.layers.Dense(3, name="forth")
    x = keras.Input((5,))
    return dense, keras.Model(x, DenseTranspose(dense, activation, name="back")(dense(x)))


def test_dense_transpose_is_the_mirrored_kernel_and_its_own_bias():
    dense, model = tied_pair()
    model.get_layer("back").bias.assign(np.arange(5.0))
    x = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    kernel, bias = dense.get_weights()
    expected = np.tanh((x @ kernel + bias) @ kernel.T + np.arange(5.0))
    np.testing.assert_allclose(ops.convert_to_numpy(model(x)), expected, atol=1e-6)


def test_dense_transpose_uses_the_very_variable():
    dense, model = tied_pair()
    assert [tuple(w.shape) for w in model.trainable_weights] == [(5, 3), (3,), (5,)]
    x = np.ones((1, 5), "float32")
    before = ops.convert_to_numpy(model(x))
    dense.kernel.assign(dense.kernel * 2)
    assert (before != ops.convert_to_numpy(model(x))).all()


def test_dense_transpose_saves_and_loads_still_tied(tmp_path):
    _, model = tied_pair()
    model.save(tmp_path / "tied.keras")
    loaded = keras.saving.load_model(tmp_path / "tied.keras")
    x = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    np.testing.assert_allclose(ops.convert_to_numpy(loaded(x)), ops.convert_to_numpy(model(x)), atol=1e-6)
    assert loaded.count_params() == model.count_params()
    assert loaded.get_layer("back").layer is loaded.get_layer("forth")


def test_dense_transpose_says_what_to_do_when_its_mirror_is_not_built():
    with pytest.raises(ValueError, match="build 'forth' first"):
        DenseTranspose(keras.layers.Dense(3, name="forth"))(np.ones((1, 3), "float32"))


def sequential(outer, inner):
    return keras.Sequential([keras.Input((6,)), outer, inner, DenseTranspose(inner), DenseTranspose(outer)])


def functional(outer, inner):
    x = keras.Input((6,))
    return keras.Model(x, DenseTranspose(outer)(DenseTranspose(inner)(inner(outer(x)))))


class Subclassed(keras.Model):
    def __init__(self, outer, inner):
        super().__init__()
        self.stack = [outer, inner, DenseTranspose(inner), DenseTranspose(outer)]
        self(np.zeros((1, 6), "float32"))

    def call(self, x):
        for layer in self.stack:
            x = layer(x)
        return x


@pytest.mark.parametrize("style", [sequential, functional, Subclassed])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_tying_holds_in_every_style_and_precision(style, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        outer, inner = keras.layers.Dense(4, "tanh"), keras.layers.Dense(3, "tanh")
        model = style(outer, inner)
        x = np.random.default_rng(0).normal(size=(32, 6)).astype("float32")
        (w, b), (v, c) = outer.get_weights(), inner.get_weights()
        expected = np.tanh(np.tanh(x @ w + b) @ v + c) @ v.T @ w.T
        coarse = policy != "float32"
        np.testing.assert_allclose(
            ops.convert_to_numpy(model(x)).astype("float32"), expected, atol=0.05 if coarse else 1e-5
        )
        assert model.count_params() == 6 * 4 + 4 + 4 * 3 + 3 + 4 + 6
        model.compile(optimizer="adam", loss="mse")
        first, last = model.train_on_batch(x, x), [model.train_on_batch(x, x) for _ in range(60)][-1]
        assert last < first and {weight.dtype for weight in model.weights} == {"float32"}
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.tensorflow
def test_the_gradient_of_a_tied_kernel_is_the_sum_of_both_paths():
    """For x_hat = (x W) W' and the loss |x_hat - x|^2 / 2: dL/dW = x' e W + e' x W, e the error, derived on paper."""
    dense, model = tied_pair("linear")
    x = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum((model(x) - x) ** 2) / 2
    w = dense.get_weights()[0]
    error = x @ w @ w.T - x
    encoder_path, decoder_path = x.T @ error @ w, error.T @ x @ w
    np.testing.assert_allclose(tape.gradient(loss, dense.kernel), encoder_path + decoder_path, rtol=1e-4, atol=1e-4)


def test_an_encoder_of_a_tied_model_saves_and_loads_alone(tmp_path):
    _, model = tied_pair()
    encoder = keras.Model(model.input, model.get_layer("forth").output)
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    x = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(loaded(x)), ops.convert_to_numpy(encoder(x)))
    assert loaded.count_params() == 5 * 3 + 3


@pytest.mark.parametrize("strides", [1, 2])
def test_a_tied_convolution_is_the_adjoint_of_its_layer(strides):
    """<conv(x), y> = <x, mirror(y)> for all x and y, without biases and activations."""
    conv = keras.layers.Conv2D(3, 3, strides=strides, padding="same")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 8, 8, 2)).astype("float32")
    forth = ops.convert_to_numpy(conv(x))
    y = rng.normal(size=forth.shape).astype("float32")
    mirror = TiedConv2DTranspose(conv)
    back = ops.convert_to_numpy(mirror(y))
    assert back.shape == x.shape
    assert np.sum(forth * y) == pytest.approx(np.sum(x * back), rel=1e-4)
    assert [tuple(weight.shape) for weight in mirror.weights] == [(2,), (3, 3, 2, 3), (3,)]


@pytest.mark.parametrize(("scale", "deviation"), [(0.5, np.exp(0.5)), (1.0, np.exp(1.0))])
def test_sampling_has_the_mean_and_the_spread_it_is_told(scale, deviation):
    z = ops.convert_to_numpy(Sampling(scale)([ops.full((20_000, 1), 3.0), ops.ones((20_000, 1))]))
    error = deviation / np.sqrt(20_000)
    assert z.mean() == pytest.approx(3.0, abs=4 * error)
    assert z.std() == pytest.approx(deviation, abs=4 * error / np.sqrt(2))


def test_sampling_survives_its_configuration():
    copy = Sampling.from_config(Sampling(1.0, seed=7).get_config())
    assert (copy.scale, copy.seed) == (1.0, 7)
