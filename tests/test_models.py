"""Builders: parameter counts on paper, halves that compose, saving and loading."""

import keras
import numpy as np
import pytest
from keras import ops

from aebook import baselines, models

X = np.random.default_rng(0).random((3, 28, 28, 1), "float32")
PCA = baselines.PCA(np.random.default_rng(1).random((900, 28, 28, 1), "float32"))
BUILDERS = [
    (lambda: models.residual(PCA, 8, 20), 784 * 8 + 8 + 8 * 784 + 784 + 8 * 20 + 20 + 20 * 784, 8),
    (lambda: models.linear(8), 784 * 8 + 8 + 8 * 784 + 784, 8),
    (lambda: models.vanilla(16, (100,)), 784 * 100 + 100 + 100 * 16 + 16 + 16 * 100 + 100 + 100 * 784 + 784, 16),
    (models.convolutional, None, 64),
]


@pytest.mark.parametrize(("build", "parameters", "code_size"), BUILDERS)
def test_the_model_is_decoder_after_encoder(build, parameters, code_size):
    model = build()
    code = model.encoder(X)
    assert code.shape == (3, code_size) and model(X).shape == X.shape
    np.testing.assert_allclose(ops.convert_to_numpy(model.decoder(code)), ops.convert_to_numpy(model(X)), atol=1e-6)
    assert parameters in (None, model.count_params())


@pytest.mark.parametrize(("build", "parameters", "code_size"), BUILDERS)
def test_models_come_back_from_disk_with_both_halves(build, parameters, code_size, tmp_path):
    model = build()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for part in (lambda m: m(X), lambda m: m.encoder(X), lambda m: m.decoder(model.encoder(X))):
        np.testing.assert_allclose(ops.convert_to_numpy(part(loaded)), ops.convert_to_numpy(part(model)), atol=1e-6)


def test_the_linear_model_is_linear_and_its_penalty_is_the_weights_norm():
    model = models.linear(4, l2=0.1)
    zero, one, two = (ops.convert_to_numpy(model(X * factor)) for factor in (0, 1, 2))
    np.testing.assert_allclose(two - zero, 2 * (one - zero), atol=1e-5)
    kernels = [weight for weight in model.get_weights() if weight.ndim == 2]
    assert float(sum(model.losses)) == pytest.approx(0.1 * sum((kernel**2).sum() for kernel in kernels), rel=1e-5)


def test_the_residual_model_begins_as_pca_clipped():
    model = models.residual(PCA, 64, 16)
    x = np.concatenate([X, 3 * X - 1])  # the second half drives PCA out of [0, 1]
    expected = PCA.reconstruct(x, 64)
    assert expected.min() < -0.1 and expected.max() > 1.1
    np.testing.assert_allclose(ops.convert_to_numpy(model(x)), expected.clip(0, 1), atol=1e-4)
    code = PCA.encode(x, 64) / np.sqrt(PCA.variances[:64])
    np.testing.assert_allclose(ops.convert_to_numpy(model.encoder(x)), code, atol=1e-3)
