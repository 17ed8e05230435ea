"""One builder a chapter. Each returns an uncompiled `Autoencoder`: an encoder, a decoder, and their composition."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from aebook import losses
from aebook.layers import Configured, DenseTranspose, Sampling

IMAGE = (28, 28, 1)
PIXELS = 28 * 28


class Autoencoder(Configured, keras.Model):
    """x_hat = decoder(encoder(x)): the two halves as models of their own, trained as one.

    encoder: model from images to codes; decoder: model from codes to images.
    Taught in chapter 01.
    """

    def __init__(self, encoder: keras.Model, decoder: keras.Model, **options: Any) -> None:
        super().__init__(**options)
        self.encoder, self.decoder = encoder, decoder
        self.build((None, *encoder.input_shape[1:]))

    def call(self, x: Any, training: bool | None = None) -> Any:  # (batch, *image) -> (batch, *image)
        """Reconstruct a batch of images; layers such as dropout learn from `training` that they are in training."""
        return self.decoder(self.encoder(x, training=training), training=training)


class Tied(Autoencoder):
    """`stacked` whose decoder is the encoder's kernels transposed: half of the weights (chapter 04).

    widths: of the encoder's layers, outermost first; the last is the code. pixels: the activation of the pixels.
    Saved as these arguments: halves saved one by one would each copy the kernel that they share.
    """

    def __init__(
        self,
        widths: Sequence[int] = (392, 196),
        activation: str | None = "selu",
        initializer: str = "lecun_normal",
        pixels: str | None = "sigmoid",
        **options: Any,
    ) -> None:
        self.widths, self.activation, self.initializer, self.pixels = list(widths), activation, initializer, pixels
        forth = [layers.Dense(n, activation, kernel_initializer=initializer) for n in widths]
        encoder = keras.Sequential([layers.Input(IMAGE), layers.Flatten(), *forth], name="encoder")
        back = [DenseTranspose(dense, activation) for dense in forth[:0:-1]]
        back += [DenseTranspose(forth[0], pixels, name="pixels"), layers.Reshape(IMAGE)]
        super().__init__(encoder, keras.Sequential([layers.Input((widths[-1],)), *back], name="decoder"), **options)


class Contractive(Autoencoder):
    """One sigmoid layer each way, 784 -> code_size -> 784, with the contraction penalty in its loss (chapter 09).

    weight: of the penalty beside a reconstruction loss that is summed over the pixels, such as `losses.squared_error`.
    tied: decode with the transposed kernel of the encoder; untied, the decoder can undo what the penalty does.
    The penalty stands in `losses`, in training and in evaluation alike; as a mean over images of `losses.contraction`
    it is the same for every batch size. Saved as its arguments, as `Tied` is.
    Raises ValueError for a negative weight.
    """

    def __init__(self, code_size: int = 256, weight: float = 0.1, tied: bool = True, **options: Any) -> None:
        if weight < 0:
            raise ValueError(f"weight={weight}: a negative weight would reward a large Jacobian")
        self.code_size, self.weight, self.tied = code_size, weight, tied  # before the model is built and called
        build: Any = Tied if tied else stacked  # both end in a sigmoid
        halves = build((code_size,), activation="sigmoid", initializer="glorot_uniform")
        super().__init__(halves.encoder, halves.decoder, **options)

    def call(self, x: Any, training: bool | None = None) -> Any:  # (batch, *image) -> (batch, *image)
        """Reconstruct a batch of images and add the penalty to the losses."""
        code = self.encoder(x)
        self.add_loss(self.weight * ops.mean(losses.contraction(code, self.encoder.layers[-1].kernel)))
        return self.decoder(code)


class VAE(Autoencoder):
    """Variational autoencoder: its loss is reconstruction + beta * KL in nats an image, its own (chapter 11).

    encoder: model from images to [z_mean, z_log_var]; decoder: model from latents to probabilities of black pixels.
    beta: 1 makes the loss minus the ELBO; it may be changed between two calls of `train.fit`, as may free_bits.
    free_bits: nats that a latent costs at least, as a mean over the batch, in training alone (Kingma et al. 2016).
    binary: draw each pixel, 1 with probability x, whenever an image is seen; black and white images stay as they are.
    Train it with loss=None. Keras prints `loss`, `reconstruction` and `kl`; the answer to an image is one of many.
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        beta: float = 1.0,
        free_bits: float = 0.0,
        binary: bool = False,
        **options: Any,
    ) -> None:
        self.beta, self.free_bits, self.binary, self.sampling = beta, free_bits, binary, Sampling()
        # terms: what `charge` leaves for `compute_loss`, the two numbers that the metrics average
        self.parts, self.terms = [keras.metrics.Mean("reconstruction"), keras.metrics.Mean("kl")], tuple[Any, ...]()
        super().__init__(encoder, decoder, **options)

    def call(self, x: Any, training: bool | None = None) -> Any:  # (batch, *image) -> (batch, *image)
        """Answer each image by one draw of its latents, decoded, and add the loss."""
        if self.binary:
            x = ops.cast(keras.random.uniform(ops.shape(x), seed=self.sampling.generator) < x, x.dtype)
        latent = [ops.cast(half, x.dtype) for half in self.encoder(x, training=training)]
        x_hat = self.decoder(self.sampling(latent), training=training)
        self.charge(x, x_hat, latent, training)
        return x_hat

    def charge(self, x: Any, x_hat: Any, latent: list[Any], training: bool | None = None) -> None:
        """Add the loss, made of reconstruction and KL; for a `call` of your own, such as a conditional one."""
        least = self.free_bits if training else 0.0
        kl = ops.sum(ops.maximum(ops.mean(losses.kl(*latent), axis=0), least))
        reconstruction = ops.mean(losses.cross_entropy(x, x_hat))
        self.terms = reconstruction, kl
        self.add_loss(reconstruction + self.beta * kl)

    def compute_loss(self, x: Any = None, *given: Any, **options: Any) -> Any:
        """Write the two parts of the loss down: JAX lets metrics change here, but not in `call`."""
        for part, nats in zip(self.parts, self.terms, strict=False):  # none where a `call` charges a loss of its own
            part.update_state(nats, sample_weight=ops.shape(x)[0])  # as Keras averages the loss over batches
        return super().compute_loss(x, *given, **options)


tied, contractive = Tied, Contractive  # what builds them, called as the other builders are


def linear(code_size: int = 32, l2: float = 0.0) -> Autoencoder:
    """Two dense layers without activation: 784 -> code_size -> 784, which learns PCA's subspace (chapter 01).

    l2: weight of the summed squares of both kernels, added to the loss.
    """
    penalty = keras.regularizers.L2(l2) if l2 else None
    encoder = [layers.Flatten(), layers.Dense(code_size, kernel_regularizer=penalty, name="code")]
    decoder = [layers.Dense(PIXELS, kernel_regularizer=penalty, name="pixels"), layers.Reshape(IMAGE)]
    return _autoencoder(encoder, decoder, "linear")


def vanilla(code_size: int = 32, hidden: Sequence[int] = (256,), activation: str = "gelu") -> Autoencoder:
    """Dense layers 784 -> hidden -> code_size -> mirrored hidden -> 784, sigmoid at the end (chapter 02).

    hidden: widths of the encoder's hidden layers, outermost first.
    """
    encoder = [layers.Flatten(), *(layers.Dense(n, activation) for n in hidden), layers.Dense(code_size, name="code")]
    decoder = [layers.Dense(n, activation) for n in reversed(hidden)]
    decoder += [layers.Dense(PIXELS, "sigmoid", name="pixels"), layers.Reshape(IMAGE)]
    return _autoencoder(encoder, decoder, "vanilla")


def convolutional(code_size: int = 64, width: int = 32, activation: str = "gelu") -> Autoencoder:
    """Strided convolutions 28 -> 14 -> 7, a dense code, and the way back, sigmoid at the end (chapter 02).

    width: channels of the first convolution; the second has twice as many.
    """
    conv = {"kernel_size": 3, "strides": 2, "padding": "same"}
    encoder: list[Any] = [layers.Conv2D(n, activation=activation, **conv) for n in (width, 2 * width)]
    encoder += [layers.Flatten(), layers.Dense(code_size, name="code")]
    decoder = [layers.Dense(7 * 7 * 2 * width, activation), layers.Reshape((7, 7, 2 * width))]
    decoder += [layers.Conv2DTranspose(width, activation=activation, **conv)]
    decoder += [layers.Conv2DTranspose(1, activation="sigmoid", name="pixels", **conv)]
    return _autoencoder(encoder, decoder, "convolutional")


def stacked(
    widths: Sequence[int] = (392, 196),
    decoder: Sequence[int] | None = None,
    activation: str = "selu",
    initializer: str = "lecun_normal",
) -> Autoencoder:
    """Dense layers 784 -> widths -> decoder -> 784, each with the activation, sigmoid at the end (chapter 03).

    widths: of the encoder's layers, outermost first; the last is the code. decoder: widths of the decoder's hidden
    layers, innermost first; None mirrors the encoder. initializer: of all kernels before the last.
    """
    back = widths[-2::-1] if decoder is None else decoder

    def dense(sizes: Sequence[int]) -> list[Any]:
        return [layers.Dense(n, activation, kernel_initializer=initializer) for n in sizes]

    pixels = [layers.Dense(PIXELS, "sigmoid", name="pixels"), layers.Reshape(IMAGE)]
    return _autoencoder([layers.Flatten(), *dense(widths)], [*dense(back), *pixels], "stacked")


def residual(pca: Any, code_size: int = 64, hidden: int = 512, activation: str = "gelu") -> Autoencoder:
    """Begin as PCA and learn the rest: a linear code, and a decoder that adds a hidden layer's correction (chapter 02).

    pca: anything with mean (784,), components (784, n) and variances (n,), such as `baselines.PCA`; n >= code_size.
    The code starts as PCA's, each number scaled to variance one; the correction starts at zero; the pixels are clipped
    to [0, 1]. Untrained, the model therefore answers what PCA with code_size numbers answers, clipped.
    """
    scale, axes = np.sqrt(np.maximum(pca.variances[:code_size], 1e-12)), pca.components[:, :code_size]
    code, back = layers.Dense(code_size, name="code"), layers.Dense(PIXELS, name="pca")
    z = layers.Input((code_size,))
    correction = layers.Dense(PIXELS, use_bias=False, kernel_initializer="zeros", name="correction")
    pixels = layers.Add()([back(z), correction(layers.Dense(hidden, activation)(z))])
    pixels = layers.Reshape(IMAGE)(layers.ReLU(max_value=1.0, name="pixels")(pixels))
    encoder = keras.Sequential([layers.Input(IMAGE), layers.Flatten(), code], name="encoder")
    code.set_weights([axes / scale, -(pca.mean @ axes) / scale])
    back.set_weights([(axes * scale).T, pca.mean])
    return Autoencoder(encoder, keras.Model(z, pixels, name="decoder"), name="residual")


def sparse(
    code_size: int = 1024,
    sparsity: Any = None,
    activation: str | None = None,
    mean: np.ndarray | None = None,
    gain: float = 1.0,
    bias: float = 0.0,
) -> Autoencoder:
    """One layer of code_size units, more than the image has pixels, and a linear decoder (chapter 08).

    Each unit has a picture, its row of the decoder's kernel, which training keeps at length one: otherwise codes could
    shrink, and pictures grow, to please a penalty.
    sparsity: the layer behind the units that keeps most of them silent, such as `layers.KSparse`; None for none.
    activation: of the units; linear for k-sparse, "relu" for L1, "sigmoid" for KL.
    mean: (784,); with it a unit starts as activation(gain * picture . (x - mean) + bias), it looks for its own picture
        (Gao et al. 2024), which leaves fewer units dead. Without, both kernels are drawn independently.
    """
    units = layers.Dense(code_size, activation, name="units")
    pixels = layers.Dense(PIXELS, kernel_constraint=keras.constraints.UnitNorm(axis=1), name="pixels")
    encoder = [layers.Flatten(), units, *([sparsity] if sparsity is not None else [])]
    model = _autoencoder(encoder, [pixels, layers.Reshape(IMAGE)], "sparse")
    if mean is not None:
        pictures = pixels.get_weights()[0]
        pictures /= np.linalg.norm(pictures, axis=1, keepdims=True)
        units.set_weights([gain * pictures.T, bias - gain * pictures @ mean])
        pixels.set_weights([pictures, mean])
    return model


def vae(plain: Autoencoder, **options: Any) -> VAE:
    """Make an autoencoder variational: its code becomes z_mean, beside a second head, z_log_var (chapter 11).

    plain: an autoencoder whose code is a Dense layer, such as `vanilla` or `convolutional`, and whose pixels end in a
    sigmoid; its layers are taken over. options: beta, free_bits and binary, as for `VAE`.
    """
    *_, hidden, z_mean = plain.encoder.layers
    z_log_var = layers.Dense(z_mean.units, name="z_log_var")
    encoder = keras.Model(plain.encoder.inputs[0], [z_mean.output, z_log_var(hidden.output)], name="encoder")
    return VAE(encoder, plain.decoder, name="vae", **options)


def denoiser(
    widths: Sequence[int] = (32, 64),
    stride: int = 2,
    code: int | None = None,
    skips: bool = False,
    residual: bool = False,
    blocks: int = 1,
    activation: str = "silu",
    shape: tuple[int | None, ...] = IMAGE,
) -> keras.Model:
    """Strided convolutions down, transposed ones up, residual blocks at every smaller size (chapters 05 to 07).

    widths: channels at each smaller size, the largest size first; each is `stride` times smaller than the one before.
    code: squeeze the smallest maps into so many channels, on a layer named "code"; None keeps them as they are.
    skips: let the way up see the maps of the way down, 16 of full size among them (Ronneberger et al. 2015).
    residual: add the result to the image, so that only the difference is learned (Zhang et al. 2017). A new model then
        answers with its input, and its pixels are not confined to [0, 1]. Without, they end in a sigmoid.
    blocks: residual blocks at each size. activation: "gelu" learns no more and costs half as much again.
    shape: of the images, divisible by stride ** len(widths); None for any.
    """
    how: dict[str, Any] = {"padding": "same", "activation": activation, "kernel_initializer": "he_normal"}
    down = {**how, "kernel_size": 2 * stride, "strides": stride}
    # An output of a transposed convolution sums only a part, 1 / stride ** 2, of what Keras counts as its inputs.
    up = {**down, "kernel_initializer": keras.initializers.VarianceScaling(2 * stride**2, "fan_out")}

    def refine(h: Any) -> Any:
        for _ in range(blocks):
            h = layers.Add()([h, layers.Conv2D(h.shape[-1], 3, **how)(h)])
        return h

    def widen(h: Any, width: int) -> Any:
        h = layers.Conv2DTranspose(width, **up)(h)
        return layers.Conv2D(width, 3, **how)(layers.Concatenate()([h, maps.pop()])) if skips else h

    x = layers.Input(shape)
    maps = [layers.Conv2D(16, 3, **how)(x) if skips else x]
    for width in widths:
        maps.append(refine(layers.Conv2D(width, **down)(maps[-1])))
    h = maps.pop()
    if code is not None:
        h = layers.Conv2D(code, 1, name="code")(h)
        h = refine(layers.Conv2D(widths[-1], 3, **how)(h))
    for width in widths[-2::-1]:
        h = refine(widen(h, width))
    h = widen(h, 16)
    start = {"kernel_initializer": "zeros"} if residual else {"activation": "sigmoid"}
    h = layers.Conv2D(shape[-1], 3, padding="same", name="pixels", **start)(h)
    return keras.Model(x, layers.Add()([x, h]) if residual else h, name="denoiser")


def _autoencoder(encoder: list[Any], decoder: list[Any], name: str) -> Autoencoder:
    first = keras.Sequential([layers.Input(IMAGE), *encoder], name="encoder")
    second = keras.Sequential([layers.Input(first.output_shape[1:]), *decoder], name="decoder")
    return Autoencoder(first, second, name=name)
