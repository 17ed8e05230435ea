"""The door of `train.fit`: what comes is looked at before any work, and what works is trained on."""

import re
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from aebook import feeds, losses, models, noise, train

RNG = np.random.default_rng(0)
X = RNG.random((60, 28, 28, 1)).astype("float32")
VALID = X[:10]
LABELS = RNG.integers(0, 10, 60)
COLOUR = RNG.random((60, 64, 64, 3)).astype("float32")


class Untouched(keras.callbacks.Callback):
    """Fails where a training begins that should have been refused."""

    def on_train_begin(self, logs=None):
        raise AssertionError("the training began")


def refused(data, model=None, **options):
    """What `train.fit` says of data that it refuses; its model must not have been compiled."""
    model = model or models.linear(4)
    with pytest.raises(ValueError) as caught:
        train.fit(model, data, **{"epochs": 1, "callbacks": [Untouched()], **options})
    assert not model.compiled, "the work had begun"
    return str(caught.value)


def trained(data, model=None, **options):
    """The history of a training that must work."""
    model = model or models.linear(4)
    keras.utils.set_random_seed(0)
    return train.fit(model, data, **{"epochs": 2, "batch_size": 20, **options})


def holed(value):
    x = X.copy()
    x[3, 4, 5] = value
    return x


# ---- arrays


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (X, r"an array of shape \(60, 28, 28, 1\)\. *\n  Validation data are missing"),
        ((X,), "a tuple of 1"),
        ((X, X, X), "a tuple of 3"),
        ((X, None), r"the validation data are None: hold some images out"),
        (None, "the data are None"),
        ({"x": X, "y": X}, "a dict"),
        ("mnist", "a str"),
        (((X, X, None, X), VALID), "the training data are a tuple of 4"),
        (((image for image in X), VALID), "a generator.*from_generator"),
    ],
)
def test_what_is_no_pair_is_refused_with_what_is_allowed(data, words):
    said = refused(data)
    assert_says(said, words)
    assert "a pair (training, validation)" in said and "PyDataset" in said


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ((COLOUR, COLOUR), r"training data: x .*\(60, 64, 64, 3\).* needs \(n, 28, 28, 1\)\.\n.*shape=\(64, 64, 3\)"),
        ((X[..., 0], VALID), r"x has the shape \(60, 28, 28\).*x\[\.\.\., None\]"),
        ((X.reshape(60, 784), VALID), r"\(60, 784\).*x\.reshape\(-1, 28, 28, 1\)"),
        ((X[0], VALID), r"This is one example; x\[None\]"),
        ((X, VALID[0]), r"validation data: x .*This is one example"),
        ((X, LABELS), "validation data: x .*These look like labels"),
        (((X, LABELS), (VALID, LABELS[:10])), "training data: y .*These look like labels"),
        (((X, LABELS[:, None]), (VALID, VALID)), "training data: y .*These look like labels"),
        (((X, X[..., 0]), VALID), r"y has the shape.*y\[\.\.\., None\]"),
        (((X, X[:, :14]), VALID), r"y has the shape \(60, 14, 28, 1\).*the model's answers"),
        (((X, X[:59]), VALID), "60 inputs, 59 targets"),
        (((X, X, np.ones(59)), VALID), "60 inputs, 60 targets, 59 sample weights"),
        ((np.float32(3), VALID), "a single number"),
        (([X[0], X[1][:20]], VALID), r"a list of 2 images of different shapes, such as \(20, 28, 1\) and"),
        (([[1.0, 2.0], [1.0]], VALID), "no array of numbers"),
        ((np.array(["a", "b"]), VALID), "values of type <U1"),
        ((np.array([None, X], dtype=object), VALID), "values of type object"),
        ((holed(np.nan), VALID), "training data: x holds 1 numbers that are NaN or infinite, of 47,040"),
        ((X, holed(np.inf)), "validation data: x holds 1 numbers"),
        (((X, holed(-np.inf)), VALID), "training data: y holds 1 numbers"),
        ((X[:0], VALID), "training examples: 0"),
        ((X, X[:0]), "validation examples: 0"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(data, words):
    assert_says(refused(data), words)


def assert_says(said, words):
    assert re.search(words, said, re.DOTALL), said


@pytest.mark.parametrize("x", [255 * X, (255 * X).astype("uint8"), 2 * X - 1], ids=["floats", "bytes", "around zero"])
@pytest.mark.parametrize(
    ("build", "loss"), [(models.vanilla, "mse"), (models.convolutional, "mse"), (models.linear, "binary_crossentropy")]
)
def test_targets_that_the_model_cannot_reach_are_refused(x, build, loss):
    said = refused((x, x[:10]), build(4), loss=loss)
    assert "the model answers within [0, 1]" in said
    assert ("divide bytes by 255" in said) is bool(x.min() >= 0)


def test_a_linear_model_may_learn_any_numbers():
    assert np.isfinite(trained((2 * X - 1, 2 * VALID - 1)).valid).all()


def classifier():
    return keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")])


def test_labels_are_targets_of_a_classifier():
    data = (X, LABELS), (VALID, LABELS[:10])
    trained(data, classifier(), loss="sparse_categorical_crossentropy")
    trained(data, classifier(), loss=keras.losses.SparseCategoricalCrossentropy())
    assert "These look like labels" in refused(data, classifier(), loss="mse")


def test_one_class_may_come_without_its_axis():
    detector = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(1, "sigmoid")])
    trained(((X, LABELS % 2), (VALID, LABELS[:10] % 2)), detector, loss="binary_crossentropy")


def test_a_model_with_a_loss_of_its_own_may_take_other_targets():
    model = models.vae(models.vanilla(2, hidden=(8,)))
    assert np.isfinite(trained(((X, LABELS), (VALID, LABELS[:10])), model, loss=None).valid).all()


@pytest.mark.parametrize("kind", ["bool", "uint8", "float16", "float64", "list", "nested lists", "split"])
def test_numbers_of_every_kind_train_alike(kind):
    binary = np.round(X)
    if kind == "list":
        given = list(binary), list(binary[:10])
    elif kind == "nested lists":
        given = binary.tolist(), binary[:10].tolist()
    elif kind == "split":
        given = SimpleNamespace(x_train=binary, x_valid=binary[:10])
    else:
        given = binary.astype(kind), binary[:10].astype(kind)
    expected = trained((binary, binary[:10]))
    np.testing.assert_allclose(trained(given).valid, expected.valid, rtol=1e-5)


def test_sample_weights_count():
    dark = X * 0
    weights = np.repeat([1.0, 0.0], 60)
    mixed = np.concatenate([X, dark]), np.concatenate([X, dark]), weights
    model = models.linear(4)
    trained((mixed, VALID), model, epochs=40)
    assert np.mean((model.predict(X, verbose=0) - X) ** 2) < 0.7 * np.mean(X**2)
    for loss in ("mse", losses.squared_error, keras.losses.MeanAbsoluteError()):
        assert trained((mixed, (VALID, VALID, np.zeros(10))), loss=loss).valid == [0, 0]
    own = models.vae(models.vanilla(2, hidden=(8,)))
    assert "does not use" in refused((mixed, VALID), own, loss=None)


def test_several_inputs_are_a_list():
    def model():
        a, b = keras.Input((28, 28, 1)), keras.Input((10,))
        return keras.Model([a, b], keras.layers.Dense(3)(keras.layers.Concatenate()([keras.layers.Flatten()(a), b])))

    inputs, targets = [X, np.eye(10)[LABELS]], X[:, 0, :3, 0]
    trained(((inputs, targets), ([part[:10] for part in inputs], targets[:10])), model())
    assert "59" in refused((([X[:59], inputs[1]], targets), VALID), model())


def test_a_model_that_tells_no_shape_is_trained_all_the_same():
    class Silent(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, x):
            return self.dense(x)

    assert len(trained((X, VALID), Silent()).valid) == 2


# ---- pipelines


@pytest.fixture
def tf():
    return pytest.importorskip("tensorflow")


def batches(tf, *parts):
    return tf.data.Dataset.from_tensor_slices(parts if len(parts) > 1 else parts[0]).batch(20)


def test_images_alone_are_their_own_targets(tf):
    pairs = trained((batches(tf, X, X), batches(tf, VALID, VALID)))
    alone = trained((batches(tf, X), batches(tf, VALID)))
    np.testing.assert_allclose(alone.valid, pairs.valid, rtol=1e-5)


def test_weights_may_come_in_the_pipeline(tf):
    zeros = np.zeros((10, 1, 1), "float32")
    assert trained((batches(tf, X, X), batches(tf, VALID, VALID, zeros))).valid == [0, 0]
    said = refused((batches(tf, X, X), batches(tf, VALID, VALID, zeros[:, 0, 0])))
    assert "sample weights of shape (10,) instead of (10, 1, 1)" in said


def test_lengths_that_are_known_set_the_rate(tf):
    model = models.linear(4)
    trained((batches(tf, X), VALID), model)
    assert model.optimizer.get_config()["learning_rate"]["config"]["decay_steps"] == 2 * 3


def endless(tf):
    return batches(tf, X).repeat()


def unknown(tf):
    spec = tf.TensorSpec((20, 28, 28, 1), tf.float32)
    return tf.data.Dataset.from_generator(lambda: iter(X.reshape(3, 20, 28, 28, 1)), output_signature=spec)


@pytest.mark.parametrize(("make", "why"), [(endless, "has no end"), (unknown, "is unknown")])
def test_lengths_that_are_not_known_are_asked_for(tf, make, why):
    assert_says(refused((make(tf), VALID)), f"the length of the training pipeline {why}.*steps=")
    model = models.linear(4)
    history = trained((make(tf), VALID), model, steps=4, epochs=3)
    assert len(history.valid) == 3 and int(model.optimizer.iterations) == 12


@pytest.mark.filterwarnings("error:.*ran out of data")
def test_steps_may_be_more_than_a_finite_pipeline_holds(tf):
    model = models.linear(4)
    trained((batches(tf, X), VALID), model, steps=5)
    assert int(model.optimizer.iterations) == 10


def test_a_validation_pipeline_needs_an_end(tf):
    assert_says(refused((X, endless(tf))), r"validation pipeline has no end.*take\(20\)")
    assert len(trained((X, unknown(tf))).valid) == 2


def test_steps_are_for_pipelines():
    assert "steps=3 is for pipelines" in refused((X, VALID), steps=3)


def test_single_examples_are_told_to_be_batched(tf):
    single = tf.data.Dataset.from_tensor_slices((X, X))
    assert "`.batch(128)`" in refused((single, VALID))
    assert "`.batch(128)`" in refused((tf.data.Dataset.from_tensor_slices(X), VALID))


def test_an_empty_pipeline_is_named(tf):
    assert "without a single batch" in refused((batches(tf, X[:0]), VALID))
    assert "without a single batch" in refused((X, batches(tf, X[:0])))


@pytest.mark.parametrize(
    ("build", "part", "words"),
    [
        (models.linear, COLOUR, r"training data: x .*\(20, 64, 64, 3\)"),
        (models.vanilla, 255 * X, "divide bytes by 255"),
        (models.linear, holed(np.nan), "NaN or infinite"),
    ],
)
def test_the_first_batch_of_a_pipeline_is_looked_at(tf, build, part, words):
    assert_says(refused((batches(tf, part), VALID), build(4)), words)


def test_labels_in_a_pipeline_are_seen(tf):
    assert "These look like labels" in refused((batches(tf, X, LABELS), VALID))


def test_a_folder_of_pictures_is_a_pipeline(tf, tmp_path):
    for i in range(6):
        keras.utils.save_img(tmp_path / f"{i}.png", 255 * COLOUR[i])
    folder = keras.utils.image_dataset_from_directory(
        tmp_path, labels=None, image_size=(64, 64), batch_size=3, verbose=False
    )
    model = keras.Sequential([keras.Input((64, 64, 3)), keras.layers.Conv2D(3, 3, padding="same")])
    assert len(trained((folder, COLOUR[:2]), model).valid) == 2
    bounded = keras.Sequential(
        [keras.Input((64, 64, 3)), keras.layers.Conv2D(3, 3, padding="same", activation="sigmoid")]
    )
    assert "divide bytes by 255" in refused((folder, COLOUR[:2]), bounded)


class Batches(keras.utils.PyDataset):
    """Batches of twenty, of images alone or with their targets."""

    def __init__(self, alone, count=3):
        super().__init__()
        self.alone, self.count, self.epochs = alone, count, 0

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        batch = X[20 * index : 20 * index + 20]
        return batch if self.alone else (batch, batch)

    def on_epoch_end(self):
        self.epochs += 1


@pytest.mark.parametrize("alone", [True, False])
def test_a_pydataset_trains(alone):
    given, model = Batches(alone), models.linear(4)
    history = trained((given, Batches(alone)), model)
    assert len(history.valid) == 2 and int(model.optimizer.iterations) == 6 and given.epochs >= 1


def test_an_empty_pydataset_is_named():
    assert "without a single batch" in refused((Batches(False, 0), VALID))


def test_noise_is_trained_on(tf):
    assert len(trained((noise.batches(X, "gaussian", 0.1, 20), VALID)).valid) == 2


def test_the_last_activation_is_found():
    assert feeds.last_activation(models.vanilla(4)) is keras.activations.sigmoid
    assert feeds.last_activation(models.denoiser()) is keras.activations.sigmoid
    assert feeds.last_activation(models.linear(4)) is keras.activations.linear
    assert feeds.last_activation(models.denoiser(residual=True)) is None
