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


def test_numbers_below_one_are_refused():
    for name in ("epochs", "batch_size", "patience"):
        for count in (0, -1, 1.5):
            with pytest.raises(ValueError, match=rf"{name}: {count} instead of a whole number"):
                fitted(**{name: count})


def test_the_default_is_adam_along_a_cosine_and_stock_keras_knows_it():
    model, _ = fitted(epochs=2, rate=0.01)
    config = model.optimizer.get_config()
    assert type(model.optimizer) is keras.optimizers.Adam
    assert config["learning_rate"]["class_name"] == "CosineDecay"
    assert config["learning_rate"]["config"]["decay_steps"] == 2 * 10  # ten batches an epoch
    assert config["learning_rate"]["config"]["initial_learning_rate"] == 0.01


# ---- what is printed when the loss is no longer a number


def diverged(**options):
    with pytest.raises(train.TrainingError) as caught:
        fitted(**options)
    return str(caught.value)


def test_a_loss_that_is_not_a_number_stops_with_advice_for_what_was_run():
    said = diverged(optimizer=keras.optimizers.SGD(1e30))
    assert said.startswith("the loss is") and "after epoch 1\n" in said
    assert "keras.optimizers.SGD(1e+29)" in said and "clipnorm=1.0" in said
    assert "Build the model anew" in said
    assert "Adam" not in said and "sigmoid" not in said and "pipeline" not in said


def test_the_advice_does_not_name_what_is_done_already():
    said = diverged(optimizer=keras.optimizers.SGD(1e30, clipvalue=1e30))
    assert "clipnorm" not in said


def test_the_advice_knows_the_rate_of_a_schedule():
    assert "keras.optimizers.Adam(1e+37)" in diverged(rate=1e38)


def test_a_pipeline_that_turns_bad_is_named():
    import tensorflow as tf

    bad = IMAGES[:64].copy()
    bad[40] = np.nan
    pipeline = tf.data.Dataset.from_tensor_slices((bad, bad)).batch(16)
    with pytest.raises(train.TrainingError, match="Only the first batch was looked at"):
        train.fit(models.linear(4), (pipeline, IMAGES[300:]), epochs=1)


def test_cross_entropy_without_a_sigmoid_is_explained():
    class Logarithm(keras.losses.Loss):
        def call(self, y, y_hat):
            return keras.ops.log(y_hat - 1e6)

    said = diverged(loss=Logarithm(name="my_binary_crossentropy"))
    assert "end the model in a sigmoid" in said


# ---- callbacks


class StopsAfter(keras.callbacks.Callback):
    """Stops the training after so many batches, or after so many epochs."""

    def __init__(self, batches=None, epochs=None):
        super().__init__()
        self.batches, self.epochs, self.seen = batches, epochs, 0

    def on_train_batch_end(self, batch, logs=None):
        self.seen += 1
        if self.seen == self.batches:
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.epochs:
            self.model.stop_training = True


@pytest.mark.parametrize("how", [{"batches": 13}, {"epochs": 2}])
@pytest.mark.parametrize("patience", [None, 3])
def test_a_callback_of_your_own_may_stop_the_training(how, patience):
    _, history = fitted(epochs=6, patience=patience, callbacks=[StopsAfter(**how)])
    assert len(history.valid) == 2  # ten batches an epoch


def test_keras_early_stopping_works():
    _, history = fitted(epochs=9, callbacks=[keras.callbacks.EarlyStopping(min_delta=10, patience=1)])
    assert len(history.valid) == 2


def test_checkpoints_can_be_opened_and_hold_the_best_epoch(tmp_path):
    path = tmp_path / "best.keras"
    watch = keras.callbacks.ModelCheckpoint(path, save_best_only=True)
    model, history = fitted(callbacks=[watch])
    again = keras.saving.load_model(path)
    x = SPLIT.x_valid
    np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5)
    assert again.evaluate(x, x, verbose=0) == pytest.approx(min(history.valid), rel=1e-4)


def test_an_interrupted_training_goes_on_from_its_backup(tmp_path):
    class Power(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    seen = []
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    keras.utils.set_random_seed(1)
    model = models.linear(4)
    with pytest.raises(KeyboardInterrupt):
        train.fit(model, SPLIT, epochs=5, batch_size=32, callbacks=[backup, Power()])
    watch = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: seen.append(epoch))
    again = models.linear(4)
    history = train.fit(again, SPLIT, epochs=5, batch_size=32, callbacks=[backup, watch])
    assert seen[0] in (2, 3) and seen[-1] == 4  # the epochs that were lost, and no others
    assert len(history.valid) == len(seen) and history.best_epoch > 2
    error = np.mean((again.predict(SPLIT.x_valid, verbose=0) - SPLIT.x_valid) ** 2)
    assert error == pytest.approx(min(history.valid), rel=1e-4)


@pytest.mark.parametrize("kind", ["ReduceLROnPlateau", "LearningRateScheduler"])
def test_what_sets_the_rate_needs_one_that_can_be_set(kind):
    def setter():
        if kind == "ReduceLROnPlateau":
            return keras.callbacks.ReduceLROnPlateau(factor=0.5, min_delta=10, patience=1)
        return keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate)

    falling = keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 9))
    for optimizer in (None, falling):
        with pytest.raises(ValueError, match=rf"{kind} cannot set .* follows a schedule.\n.*constant rate"):
            fitted(callbacks=[setter()], optimizer=optimizer)
    model, _ = fitted(epochs=2, callbacks=[setter()], optimizer=keras.optimizers.SGD(0.1))
    assert float(model.optimizer.learning_rate) == pytest.approx(0.05)


def test_an_optimizer_may_be_named():
    model, _ = fitted(epochs=1, optimizer="sgd", callbacks=[keras.callbacks.ReduceLROnPlateau()])
    assert type(model.optimizer) is keras.optimizers.SGD


# ---- who watches


@pytest.mark.parametrize("asks", [True, False])
def test_a_person_is_whoever_can_be_asked(asks, monkeypatch):
    request = {"content": {"allow_stdin": asks}}
    kernel = SimpleNamespace(get_parent=lambda channel: request)
    shell = SimpleNamespace(kernel=kernel)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert train.somebody_watches() is asks
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: asks))
    assert train.somebody_watches() is asks
