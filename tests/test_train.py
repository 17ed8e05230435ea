"""Training: learns, repeats itself, keeps the best, stops on nonsense, says nothing to machines."""

import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from aebook import models, train

RNG = np.random.default_rng(0)
LATENT = RNG.random((400, 3)).astype("float32")
IMAGES = (LATENT @ RNG.random((3, 784)).astype("float32") / 3).reshape(-1, 28, 28, 1)
SPLIT = SimpleNamespace(x_train=IMAGES[:300], x_valid=IMAGES[300:])


def fitted(**options):
    train.keras.utils.set_random_seed(1)
    model = models.linear(4)
    return model, train.fit(model, SPLIT, **{"epochs": 4, "batch_size": 32, **options})


def test_training_learns_and_writes_down_every_epoch():
    model, history = fitted(epochs=8)
    assert history.train[-1] < history.train[0] / 2
    assert len(history.train) == len(history.valid) == len(history.seconds) == 8
    assert all(seconds > 0 for seconds in history.seconds)
    x_hat = model.predict(SPLIT.x_valid, verbose=0)
    assert np.mean((x_hat - SPLIT.x_valid) ** 2) == pytest.approx(min(history.valid), rel=1e-4)


def test_the_same_seed_repeats_and_another_does_not():
    first, second, third = (fitted(seed=seed)[1].valid for seed in (0, 0, 1))
    np.testing.assert_allclose(first, second, rtol=1e-5)
    assert not np.allclose(first, third, rtol=1e-5)


def test_the_best_epoch_is_kept_and_patience_stops():
    downhill_then_up = keras.optimizers.schedules.PiecewiseConstantDecay([29], [0.05, -0.05])  # ten steps an epoch
    model, history = fitted(epochs=30, patience=2, optimizer=keras.optimizers.SGD(downhill_then_up))
    assert (history.best_epoch, len(history.valid)) == (3, 5)
    x_hat = model.predict(SPLIT.x_valid, verbose=0)
    assert np.mean((x_hat - SPLIT.x_valid) ** 2) == pytest.approx(min(history.valid), rel=1e-4)


def test_inputs_and_targets_may_differ():
    train.keras.utils.set_random_seed(0)
    model = models.linear(4)
    x, y = IMAGES, IMAGES[:, ::-1]
    history = train.fit(model, ((x[:300], y[:300]), (x[300:], y[300:])), epochs=20, batch_size=32)
    assert np.mean((model.predict(x[300:], verbose=0) - y[300:]) ** 2) == pytest.approx(min(history.valid), rel=1e-4)
    assert min(history.valid) < np.mean((x[300:] - y[300:]) ** 2)


@pytest.mark.filterwarnings("error", "ignore:__array__ implementation")  # Keras on JAX warns of NumPy 2
def test_a_pipeline_may_bring_its_own_batches():
    import tensorflow as tf

    def trained(training, **options):
        train.keras.utils.set_random_seed(0)
        model = models.linear(4)
        return train.fit(model, (training, (x[300:], y[300:])), **options)

    x, y = IMAGES, IMAGES[:, ::-1]
    whole = trained((x[:300], y[:300]), epochs=12, batch_size=300)  # twelve steps, each on all images
    piped = trained(tf.data.Dataset.from_tensors((x[:300], y[:300])).repeat(4), epochs=3)  # the same twelve
    np.testing.assert_allclose(piped.valid, whole.valid[3::4], rtol=1e-5)


def test_a_loss_that_is_not_a_number_stops_with_advice():
    with pytest.raises(train.TrainingError, match=r"after epoch 1\n.*learning rate ten times smaller"):
        fitted(optimizer=keras.optimizers.SGD(1e30))


@pytest.mark.parametrize("options", [{"epochs": 0}, {"precision": "float16"}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=r"epochs|unknown precision"):
        fitted(**options)


def test_bfloat16_is_for_training_only(monkeypatch):
    seen, answers = [], []

    class Spy(keras.layers.Dense):
        def call(self, inputs):
            seen.append(keras.backend.standardize_dtype(inputs.dtype))
            return super().call(inputs)

    def watched(h):
        answers.append(keras.backend.standardize_dtype(h.dtype))
        return keras.ops.sigmoid(h)

    encoder = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), Spy(4)])
    decoder = keras.Sequential([keras.Input((4,)), Spy(784, watched), keras.layers.Reshape((28, 28, 1))])
    model = models.Autoencoder(encoder, decoder)
    seen.clear()
    history = train.fit(model, SPLIT, epochs=2, precision="mixed_bfloat16")
    assert history.precision == "mixed_bfloat16" and history.valid[-1] < history.valid[0]
    assert seen[:2] == ["bfloat16"] * 2 and set(answers) == {"float32"}  # what the last activation gets
    assert {weight.dtype for weight in model.weights} == {"float32"}
    seen.clear()
    assert decoder.layers[0].activation is watched
    assert model.predict(SPLIT.x_valid, verbose=0).dtype == "float32" and set(seen) == {"float32"}


def test_bfloat16_changes_less_than_another_seed_does():
    def valid_loss(seed, precision):
        keras.utils.set_random_seed(seed)
        model = models.denoiser((8,), skips=True)
        return train.fit(model, SPLIT, epochs=2, batch_size=8, seed=seed, precision=precision).valid[-1]

    exact, rough = (np.array([valid_loss(seed, p) for seed in range(4)]) for p in ("float32", "mixed_bfloat16"))
    assert 0 < np.abs(rough - exact).max() < 0.25 * exact.std(ddof=1)


@pytest.mark.parametrize(
    ("processor", "expected"), [("flags: sse amx_bf16", "mixed_bfloat16"), ("flags: sse", "float32")]
)
def test_auto_takes_bfloat16_for_convolutions_where_the_processor_has_it(processor, expected, monkeypatch):
    monkeypatch.setattr(train.Path, "read_text", lambda self: processor)
    monkeypatch.setattr(train.Path, "exists", lambda self: True)
    assert train._choose("auto", models.convolutional(8)) == expected == train.best_precision()
    assert train._choose("auto", models.linear(8)) == "float32"


@pytest.mark.tensorflow
@pytest.mark.parametrize(("capability", "expected"), [((8, 0), "mixed_bfloat16"), ((7, 5), "float32")])
def test_auto_asks_the_gpu_first(capability, expected, monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["gpu"] if kind == "GPU" else [])
    details = {"compute_capability": capability}
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details)
    assert train.best_precision() == expected


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.01, "clipnorm": 0.5}, {"amsgrad": True}])
def test_fused_adam_takes_the_steps_of_keras_adam(options):
    x, ends = np.random.default_rng(0).random((256, 28, 28, 1), "float32"), []
    for kind in (keras.optimizers.Adam, train.FusedAdam):
        keras.utils.set_random_seed(0)
        model = models.vanilla(8, hidden=(32,))
        rate = keras.optimizers.schedules.CosineDecay(0.01, 24)
        train.fit(model, (x, x[:8]), epochs=3, batch_size=32, optimizer=kind(rate, **options))
        ends.append(model.get_weights())
    for known, fused in zip(*ends, strict=True):
        np.testing.assert_allclose(fused, known, rtol=1e-3, atol=2e-5)


def test_a_model_is_saved_with_its_fused_adam(tmp_path):
    model = models.linear(4)
    train.fit(model, (np.ones((64, 28, 28, 1), "float32"), np.ones((8, 28, 28, 1), "float32")), epochs=1)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras").optimizer
    assert type(again) is train.FusedAdam
    for kept, saved in zip(again.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(kept, saved)


def test_your_own_callbacks_are_called():
    seen = []
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    x = np.ones((64, 28, 28, 1), "float32")
    train.fit(models.linear(4), (x, x[:8]), epochs=3, callbacks=[watch])
    assert seen == [0, 1, 2]


def test_the_bar_shows_for_people_and_hides_from_machines(monkeypatch, capsys):
    monkeypatch.setattr(train, "somebody_watches", lambda: False)
    fitted()
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(train, "somebody_watches", lambda: True)
    fitted()
    bars = capsys.readouterr().err
    assert "epoch" in bars and "val_loss" in bars


@pytest.mark.parametrize("asks", [True, False])
def test_a_person_is_whoever_can_be_asked(asks, monkeypatch):
    shell = SimpleNamespace(kernel=SimpleNamespace(_allow_stdin=asks))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert train.somebody_watches() is asks
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: asks))
    assert train.somebody_watches() is asks


@pytest.mark.tensorflow
def test_the_step_is_traced_once():
    """A second trace costs a small model more than its training."""

    class Counted(keras.Sequential):
        traces = 0

        def train_step(self, *given):
            self.traces += 1
            return super().train_step(*given)

    model = Counted([keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(784)])
    flat = IMAGES.reshape(len(IMAGES), -1)
    train.fit(model, ((IMAGES, flat), (IMAGES, flat)), epochs=2, batch_size=32)
    assert model.traces == 1
