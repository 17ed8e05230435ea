"""One builder a chapter. Each returns an uncompiled `Autoencoder`: an encoder, a decoder, and their composition."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

IMAGE = (28, 28, 1)


@keras.saving.register_keras_serializable("aebook")
class Autoencoder(keras.Model):
    """x_hat = decoder(encoder(x)): the two halves as models of their own, trained as one.

    encoder: model from images to codes; decoder: model from codes to images.
    Taught in chapter 01.
    """

    def __init__(self, encoder: keras.Model, decoder: keras.Model, **options: Any) -> None:
        super().__init__(**options)
        self.encoder, self.decoder = encoder, decoder
        self.build((None, *encoder.input_shape[1:]))

    def call(self, x: Any) -> Any:  # (batch, *image) -> (batch, *image)
        """Reconstruct a batch of images."""
        return self.decoder(self.encoder(x))

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        halves = {"encoder": self.encoder, "decoder": self.decoder}
        return {**super().get_config(), **{k: keras.saving.serialize_keras_object(v) for k, v in halves.items()}}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Autoencoder":
        """Rebuild the model from its two halves."""
        halves = {k: keras.saving.deserialize_keras_object(config.pop(k)) for k in ("encoder", "decoder")}
        return cls(**halves, **config)


def linear(code_size: int = 32, l2: float = 0.0) -> Autoencoder:
    """Two dense layers without activation: 784 -> code_size -> 784, which learns PCA's subspace (chapter 01).

    l2: weight of the summed squares of both kernels, added to the loss.
    """
    penalty = keras.regularizers.L2(l2) if l2 else None
    encoder = [layers.Flatten(), layers.Dense(code_size, kernel_regularizer=penalty, name="code")]
    decoder = [layers.Dense(_pixels(), kernel_regularizer=penalty, name="pixels"), layers.Reshape(IMAGE)]
    return _autoencoder(IMAGE, encoder, decoder, "linear")


def vanilla(code_size: int = 32, hidden: Sequence[int] = (256,), activation: str = "gelu") -> Autoencoder:
    """Dense layers 784 -> hidden -> code_size -> mirrored hidden -> 784, sigmoid at the end (chapter 02).

    hidden: widths of the encoder's hidden layers, outermost first.
    """
    encoder = [layers.Flatten(), *(layers.Dense(n, activation) for n in hidden), layers.Dense(code_size, name="code")]
    decoder = [layers.Dense(n, activation) for n in reversed(hidden)]
    decoder += [layers.Dense(_pixels(), "sigmoid", name="pixels"), layers.Reshape(IMAGE)]
    return _autoencoder(IMAGE, encoder, decoder, "vanilla")


def convolutional(code_size: int = 64, width: int = 32, activation: str = "gelu") -> Autoencoder:
    """Strided convolutions 28 -> 14 -> 7, a dense code, and the way back, sigmoid at the end (chapter 02).

    width: channels of the first convolution; the second has twice as many.
    """
    conv = {"kernel_size": 3, "strides": 2, "padding": "same"}
    encoder = [
        layers.Conv2D(width, activation=activation, **conv),
        layers.Conv2D(2 * width, activation=activation, **conv),
    ]
    encoder += [layers.Flatten(), layers.Dense(code_size, name="code")]
    decoder = [layers.Dense(7 * 7 * 2 * width, activation), layers.Reshape((7, 7, 2 * width))]
    decoder += [layers.Conv2DTranspose(width, activation=activation, **conv)]
    decoder += [layers.Conv2DTranspose(1, activation="sigmoid", name="pixels", **conv)]
    return _autoencoder(IMAGE, encoder, decoder, "convolutional")


def residual(pca: Any, code_size: int = 64, hidden: int = 512, activation: str = "gelu") -> Autoencoder:
    """Begin as PCA and learn the rest: a linear code, and a decoder that adds a hidden layer's correction (chapter 02).

    pca: anything with mean (784,), components (784, n) and variances (n,), such as `baselines.PCA`; n >= code_size.
    The code starts as PCA's, each number scaled to variance one; the correction starts at zero; the pixels are clipped
    to [0, 1]. Untrained, the model therefore answers what PCA with code_size numbers answers, clipped.
    """
    scale, axes = np.sqrt(np.maximum(pca.variances[:code_size], 1e-12)), pca.components[:, :code_size]
    code, back = layers.Dense(code_size, name="code"), layers.Dense(_pixels(), name="pca")
    z = layers.Input((code_size,))
    correction = layers.Dense(_pixels(), use_bias=False, kernel_initializer="zeros", name="correction")
    pixels = layers.Add()([back(z), correction(layers.Dense(hidden, activation)(z))])
    pixels = layers.Reshape(IMAGE)(layers.ReLU(max_value=1.0, name="pixels")(pixels))
    encoder = keras.Sequential([layers.Input(IMAGE), layers.Flatten(), code], name="encoder")
    code.set_weights([axes / scale, -(pca.mean @ axes) / scale])
    back.set_weights([(axes * scale).T, pca.mean])
    return Autoencoder(encoder, keras.Model(z, pixels, name="decoder"), name="residual")


def _autoencoder(shape: tuple[int, ...], encoder: list[Any], decoder: list[Any], name: str) -> Autoencoder:
    first = keras.Sequential([layers.Input(shape), *encoder], name="encoder")
    second = keras.Sequential([layers.Input(first.output_shape[1:]), *decoder], name="decoder")
    return Autoencoder(first, second, name=name)


def _pixels() -> int:
    return math.prod(IMAGE)
