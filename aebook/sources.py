"""The five tutorials that this book replaces: their recipes exactly as published, mistakes included.

`RECIPES[name].build()` returns the model, uncompiled; the other fields say how its source trained it. The chapters run
them, measure them and say what to change; the errata page sums up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
from keras import layers, optimizers

from aebook.layers import DenseTranspose, PublishedKL, Sampling


@dataclass(frozen=True)
class Recipe:
    """How one source trains one model.

    build: returns a new model with `parameters` weights. data: what it is fed, in words.
    loss: a Keras loss; None where the model adds its own. optimizer: returns a new optimizer.
    A recipe without training (a model that its source only prints) has no optimizer and 0 epochs.
    """

    name: str
    title: str
    build: Callable[[], keras.Model]
    parameters: int
    data: str
    loss: Any = "mse"
    optimizer: Callable[[], keras.optimizers.Optimizer] | None = None
    batch_size: int = 128
    epochs: int = 0


_SAME: dict[str, Any] = {"kernel_size": 3, "padding": "same"}


def _subclassed() -> keras.Model:  # the same layers; chapter 02 writes them by subclassing
    widths = [(200, "relu"), (392, "relu"), (784, "sigmoid")]
    return keras.Sequential([layers.Input((784,)), *(layers.Dense(*w) for w in widths)], name="a_subclassed")


def _decoder() -> keras.Model:
    up: list[Any] = [layers.Input((2,)), layers.Dense(7 * 7 * 64, activation="relu"), layers.Reshape((7, 7, 64))]
    up += [layers.Conv2DTranspose(width, strides=2, activation="relu", **_SAME) for width in (64, 32)]
    return keras.Sequential([*up, layers.Conv2DTranspose(1, activation="sigmoid", **_SAME)], name="a_decoder")


def _gaussian() -> keras.Model:
    conv, up = partial(layers.Conv2D, 32, **_SAME), partial(layers.Conv2DTranspose, 32, strides=2, **_SAME)
    leaky, pool = partial(layers.LeakyReLU, negative_slope=0.1), partial(layers.MaxPooling2D, 2)
    stack = [make() for make in [conv, leaky, pool, conv, leaky, pool, conv, leaky, up, leaky, up, leaky]]
    return keras.Sequential([layers.Input((28, 28, 1)), *stack, layers.Conv2D(1, **_SAME)], name="b_gaussian")


def _pooled(widths: tuple[int, int, int], ups: tuple[int, int, int], name: str) -> keras.Model:
    """Build what C and E share: three pooled convolutions down, three upsampled ones (the last *valid*) up."""
    relu = {"kernel_size": 3, "activation": "relu"}
    stack: list[Any] = [layers.Input((28, 28, 1))]
    for width in widths:
        stack += [layers.Conv2D(width, padding="same", **relu), layers.MaxPooling2D(2, padding="same")]
    for width, padding in zip(ups, ("same", "same", "valid"), strict=True):
        stack += [layers.Conv2D(width, padding=padding, **relu), layers.UpSampling2D(2)]
    return keras.Sequential([*stack, layers.Conv2D(1, 3, padding="same", activation="sigmoid")], name=name)


_convolutional = partial(_pooled, (16, 8, 4), (8, 8, 16), "c_convolutional")
_salt_pepper = partial(_pooled, (64, 32, 16), (16, 32, 64), "e_salt_pepper")


def _stacked() -> keras.Model:
    stack = [layers.Input((28, 28)), layers.Flatten(), *(layers.Dense(n, activation="selu") for n in (392, 196, 392))]
    return keras.Sequential(
        [*stack, layers.Dense(784, activation="sigmoid"), layers.Reshape((28, 28))], name="d_stacked"
    )


def _tied() -> keras.Model:
    outer, inner = layers.Dense(392, activation="selu"), layers.Dense(196, activation="selu")
    x = layers.Input((28, 28))
    code = inner(outer(layers.Flatten()(x)))
    x_hat = DenseTranspose(outer, "sigmoid")(DenseTranspose(inner, "selu")(code))
    return keras.Model(x, layers.Reshape((28, 28))(x_hat), name="d_tied")


def _text() -> keras.Model:
    relu = partial(layers.Conv2D, 64, activation="relu", **_SAME)
    stack = [layers.Input((258, 540, 1)), relu(), layers.MaxPooling2D(2), relu(), layers.UpSampling2D(2)]
    return keras.Sequential([*stack, layers.Conv2D(1, activation="sigmoid", **_SAME)], name="e_text")


def _vae() -> keras.Model:
    conv = {**_SAME, "activation": "relu"}
    x = layers.Input((28, 28, 1))
    h = layers.Conv2D(64, strides=2, **conv)(layers.Conv2D(32, **conv)(x))
    h = layers.Conv2D(64, **conv)(layers.Conv2D(64, **conv)(h))
    h = layers.Dense(32, activation="relu")(layers.Flatten()(h))
    z_mean, z_log_sigma = layers.Dense(2, name="z_mean")(h), layers.Dense(2, name="z_log_sigma")(h)
    z = Sampling(scale=1.0)(PublishedKL()([z_mean, z_log_sigma]))
    h = layers.Reshape((14, 14, 64))(layers.Dense(14 * 14 * 64, activation="relu")(z))
    h = layers.Conv2DTranspose(32, strides=2, **conv)(h)
    return keras.Model(x, layers.Conv2D(1, 3, padding="same", activation="sigmoid")(h), name="e_vae")


_LOGITS = keras.losses.BinaryCrossentropy(from_logits=True)
_SCALED = "MNIST, flattened, standard-scaled"
_RECIPES = [
    Recipe("a-subclassed", "AutoEncoder with TensorFlow 2.0", _subclassed, 543_904, _SCALED,
           "categorical_crossentropy", partial(optimizers.Adam, 0.01), 64, 5),
    Recipe("a-decoder", "AutoEncoder with TensorFlow 2.0", _decoder, 65_089, "printed, not trained"),
    Recipe("b-gaussian", "Autoencoder in TensorFlow 2: a denoising autoencoder on MNIST", _gaussian, 37_601,
           "MNIST in [0, 1] plus 0.5 N(0, 1), clipped, drawn once", _LOGITS, partial(optimizers.Adam, 1e-5), 64, 25),
    Recipe("c-convolutional", "Auto Encoders", _convolutional, 3_805, "Fashion-MNIST in [0, 1]",
           "mse", optimizers.Adam, 128, 25),
    Recipe("d-stacked", "A beginner's guide to build stacked autoencoder and tying-weights with it", _stacked, 770_084,
           "MNIST in [0, 1]", "binary_crossentropy", partial(optimizers.SGD, 1.5), 32, 20),
    Recipe("d-tied", "A beginner's guide to build stacked autoencoder and tying-weights with it", _tied, 385_924,
           "MNIST in [0, 1]", "binary_crossentropy", partial(optimizers.SGD, 1.5), 32, 20),
    Recipe("e-salt-pepper", "Brief introduction to autoencoders", _salt_pepper, 49_761,
           "Fashion-MNIST, 10 % of the pixels replaced by imgaug's SaltAndPepper", "mse", optimizers.Adam, 2048, 20),
    Recipe("e-text", "Brief introduction to autoencoders", _text, 38_145, "scanned pages squeezed to 258x540",
           "mse", optimizers.Adam, 16, 200),
    Recipe("e-vae", "Comprehensive VAE tutorial", _vae, 550_629, "Fashion-MNIST in [0, 1]",
           "binary_crossentropy", optimizers.RMSprop, 16, 20),
]  # fmt: skip
RECIPES = {recipe.name: recipe for recipe in _RECIPES}
