"""Layers against NumPy, and through saving."""

import keras
import numpy as np
import pytest
from keras import ops

from aebook.layers import DenseTranspose, Sampling


def tied_pair():
    dense = keras.layers.Dense(3, name="forth")
    x = keras.Input((5,))
    return dense, keras.Model(x, DenseTranspose(dense, "tanh", name="back")(dense(x)))


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
    assert loaded.get_layer("back").dense is loaded.get_layer("forth")


def test_dense_transpose_says_what_to_do_when_its_mirror_is_not_built():
    with pytest.raises(ValueError, match="build 'forth' first"):
        DenseTranspose(keras.layers.Dense(3, name="forth"))(np.ones((1, 3), "float32"))


@pytest.mark.parametrize(("scale", "deviation"), [(0.5, np.exp(0.5)), (1.0, np.exp(1.0))])
def test_sampling_has_the_mean_and_the_spread_it_is_told(scale, deviation):
    z = ops.convert_to_numpy(Sampling(scale)([ops.full((20_000, 1), 3.0), ops.ones((20_000, 1))]))
    error = deviation / np.sqrt(20_000)
    assert z.mean() == pytest.approx(3.0, abs=4 * error)
    assert z.std() == pytest.approx(deviation, abs=4 * error / np.sqrt(2))


def test_sampling_survives_its_configuration():
    copy = Sampling.from_config(Sampling(1.0, seed=7).get_config())
    assert (copy.scale, copy.seed) == (1.0, 7)
