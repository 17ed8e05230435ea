"""One builder a chapter. Each returns an uncompiled `Autoencoder`: an encoder, a decoder, and their composition.

Every builder takes `shape`, (height, width, channels) of one image, and raises ValueError for a shape or a number that
it cannot make, before it makes anything. In a new process `import aebook.models` lets `keras.saving.load_model` open
whatever was saved of the package (see `Autoencoder`).
"""

import math
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any, ClassVar

import keras
import numpy as np
from keras import layers, ops

from aebook import losses
from aebook.layers import Configured, CropTo, DenseTranspose, PadToMultiple, Sampling

IMAGE = (28, 28, 1)
PIXELS = 28 * 28


class Autoencoder(Configured, keras.Model):
    """x_hat = decoder(encoder(x)): the two halves as models of their own, trained as one.

    encoder: model from images to codes; decoder: model from codes to images.
    Saved by `model.save("x.keras")`; in a new process these two lines load it with its optimizer:

        import aebook.models
        model = keras.saving.load_model("x.keras")

    A decoder that mirrors the encoder's layers (`layers.DenseTranspose`) comes back still tied to them. Which numbers
    may be set again says `adjustable`: what Keras compiled for this model is compiled anew then, during a fit, too.
    Taught in chapter 01.
    """

    _part_of_another = False

    def __init__(self, encoder: keras.Model, decoder: keras.Model, **options: Any) -> None:
        super().__init__(**options)
        self.encoder, self.decoder = encoder, decoder
        self.build((None, *encoder.input_shape[1:]))

    def compute_output_spec(self, *given: Any, **options: Any) -> Any:
        """Note that another model is built of this one."""
        self._part_of_another = True
        return super().compute_output_spec(*given, **options)

    def _require_adjustable(self, name: str, value: Any) -> None:
        super()._require_adjustable(name, value)
        if self._part_of_another:
            raise AttributeError(
                f"{name}={value!r} comes too late: another model was built of this one, and what Keras compiled for it "
                f"would keep {getattr(self, name)!r}.\n  Make a new {type(self).__name__} of the same encoder and "
                f"decoder with {name}={value!r}, and build the other model of that"
            )

    def compile_anew(self) -> None:
        """Make again what Keras compiled with an old number; what was never made stays unmade."""
        for what in ("train", "test", "predict"):
            if getattr(self, f"{what}_function") is not None:
                getattr(self, f"make_{what}_function")(force=True)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Build anew from what `get_config` returned; the decoder's mirrors find the new encoder's layers."""
        if "encoder" in config and "decoder" in config:
            encoder = keras.saving.deserialize_keras_object(config["encoder"], custom_objects)
            found = {layer.name: layer for layer in encoder.layers}
            config = {**config, "encoder": encoder, "decoder": _tie(config["decoder"], found)}
        return super().from_config(config, custom_objects)

    def call(self, x: Any, training: bool | None = None) -> Any:  # (batch, *image) -> (batch, *image)
        """Reconstruct a batch of images; layers such as dropout learn from `training` that they are in training."""
        return self.decoder(self.encoder(x, training=training), training=training)


class Tied(Autoencoder):
    """`stacked` whose decoder is the encoder's kernels transposed: half of the weights (chapter 04).

    widths: of the encoder's layers, outermost first; the last is the code. pixels: the activation of the pixels.
    shape: of the images. Saved as these arguments.
    """

    def __init__(
        self,
        widths: Sequence[int] = (392, 196),
        activation: str | None = "selu",
        initializer: str = "lecun_normal",
        pixels: str | None = "sigmoid",
        shape: Sequence[int] = IMAGE,
        **options: Any,
    ) -> None:
        self.widths, self.shape = _widths("widths", widths), _image(shape)
        self.activation, self.initializer, self.pixels = activation, initializer, pixels
        forth = [layers.Dense(n, activation, kernel_initializer=initializer) for n in self.widths]
        encoder = keras.Sequential([layers.Input(self.shape), layers.Flatten(), *forth], name="encoder")
        back = [DenseTranspose(dense, activation) for dense in forth[:0:-1]]
        back += [DenseTranspose(forth[0], pixels, name="pixels"), layers.Reshape(self.shape)]
        decoder = keras.Sequential([layers.Input((self.widths[-1],)), *back], name="decoder")
        super().__init__(encoder, decoder, **options)


class Contractive(Autoencoder):
    """One sigmoid layer each way, pixels -> code_size -> pixels, with the contraction penalty in its loss (chapter 09).

    weight: of the penalty beside a reconstruction loss that is summed over the pixels, such as `losses.squared_error`;
        it may be set again at any time.
    tied: decode with the transposed kernel of the encoder; untied, the decoder can undo what the penalty does.
    shape: of the images.
    The penalty stands in `losses`, in training and in evaluation alike; as a mean over images of `losses.contraction`
    it is the same for every batch size. Saved as its arguments, as `Tied` is.
    Raises ValueError for a negative weight.
    """

    adjustable = ("weight",)
    least: ClassVar[dict[str, float]] = {"weight": 0}

    def __init__(
        self,
        code_size: int = 256,
        weight: float = 0.1,
        tied: bool = True,
        shape: Sequence[int] = IMAGE,
        **options: Any,
    ) -> None:
        self.code_size, self.shape = _whole("code_size", code_size), _image(shape)
        self.weight, self.tied = weight, tied  # before the model is built and called
        build: Any = Tied if tied else stacked  # both end in a sigmoid
        widths = (self.code_size,)
        halves = build(widths, activation="sigmoid", initializer="glorot_uniform", shape=self.shape)
        super().__init__(halves.encoder, halves.decoder, **options)

    def call(self, x: Any, training: bool | None = None) -> Any:  # (batch, *image) -> (batch, *image)
        """Reconstruct a batch of images and add the penalty to the losses."""
        code = self.encoder(x)
        self.add_loss(self.weight * ops.mean(losses.contraction(code, self.encoder.layers[-1].kernel)))
        return self.decoder(code)


class VAE(Autoencoder):
    """Variational autoencoder: its loss is reconstruction + beta * KL in nats an image, its own (chapter 11).

    encoder: model from images to [z_mean, z_log_var]; decoder: model from latents to probabilities of black pixels.
    beta: 1 makes the loss minus the ELBO; it may be set again at any time, as may free_bits and binary.
    free_bits: nats that a latent costs at least, as a mean over the batch, in training alone (Kingma et al. 2016).
    binary: draw each pixel, 1 with probability x, whenever an image is seen; black and white images stay as they are.
    Train it with loss=None. Keras prints `loss`, `reconstruction` and `kl`; the answer to an image is one of many.
    Raises ValueError for a negative beta, negative free_bits, or an encoder that does not answer with two codes.
    """

    adjustable = ("beta", "free_bits", "binary")
    least: ClassVar[dict[str, float]] = {"beta": 0, "free_bits": 0}

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        beta: float = 1.0,
        free_bits: float = 0.0,
        binary: bool = False,
        **options: Any,
    ) -> None:
        if len(getattr(encoder, "outputs", ("z_mean", "z_log_var"))) != 2:
            raise ValueError(
                f"the encoder {encoder.name!r} answers with {len(encoder.outputs)} output(s); a VAE's answers with "
                "[z_mean, z_log_var].\n  `aebook.models.vae` gives a plain autoencoder the second"
            )
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

    def without_draws(self) -> keras.Model:
        """The same encoder and decoder, joined by the latents' mean: one answer to each image, as `export.onnx` needs.

        Raises ValueError for a class with a `call` of its own, whose answer this would not be.
        """
        if type(self).call is not VAE.call:
            raise ValueError(
                f"{type(self).__name__} draws its answers in a `call` of its own.\n  Export its encoder and its "
                "decoder, each by itself"
            )
        x = layers.Input(self.encoder.input_shape[1:])
        z_mean, _ = self.encoder(x)
        return keras.Model(x, self.decoder(z_mean), name=self.name)


tied, contractive = Tied, Contractive  # what builds them, called as the other builders are


def linear(code_size: int = 32, l2: float = 0.0, shape: Sequence[int] = IMAGE) -> Autoencoder:
    """Two dense layers without activation: pixels -> code_size -> pixels, which learns PCA's subspace (chapter 01).

    l2: weight of the summed squares of both kernels, added to the loss. shape: of the images.
    Raises ValueError for a code_size above the number of pixels: PCA has no more components.
    """
    image, pixels = _image(shape), math.prod(_image(shape))
    if _whole("code_size", code_size) > pixels:
        raise ValueError(f"code_size={code_size}: images of {pixels} pixels have no more than {pixels} components")
    penalty = keras.regularizers.L2(l2) if l2 else None
    encoder = [layers.Flatten(), layers.Dense(code_size, kernel_regularizer=penalty, name="code")]
    decoder = [layers.Dense(pixels, kernel_regularizer=penalty, name="pixels"), layers.Reshape(image)]
    return _autoencoder(encoder, decoder, "linear", image)


def vanilla(
    code_size: int = 32,
    hidden: Sequence[int] = (256,),
    activation: str = "gelu",
    shape: Sequence[int] = IMAGE,
) -> Autoencoder:
    """Dense layers pixels -> hidden -> code_size -> mirrored hidden -> pixels, sigmoid at the end (chapter 02).

    hidden: widths of the encoder's hidden layers, outermost first; () for none. shape: of the images.
    """
    image, code_size = _image(shape), _whole("code_size", code_size)
    hidden = _widths("hidden", hidden, least=0)
    code = layers.Dense(code_size, name="code")
    encoder = [layers.Flatten(), *(layers.Dense(n, activation) for n in hidden), code]
    decoder = [layers.Dense(n, activation) for n in reversed(hidden)]
    decoder += [layers.Dense(math.prod(image), "sigmoid", name="pixels"), layers.Reshape(image)]
    return _autoencoder(encoder, decoder, "vanilla", image)


def convolutional(
    code_size: int = 64,
    width: int = 32,
    activation: str = "gelu",
    shape: Sequence[int] = IMAGE,
) -> Autoencoder:
    """Strided convolutions 28 -> 14 -> 7, a dense code, and the way back, sigmoid at the end (chapter 02).

    width: channels of the first convolution; the second has twice as many.
    shape: of the images. Where 4 does not divide a size, the way back overshoots, and the surplus is cut at its end.
    """
    image, width = _image(shape), _whole("width", width)
    small = (-(-image[0] // 4), -(-image[1] // 4), 2 * width)  # two strides of 2, each rounded up
    surplus = [(0, 4 * small[axis] - image[axis]) for axis in (0, 1)]
    conv = {"kernel_size": 3, "strides": 2, "padding": "same"}
    encoder: list[Any] = [layers.Conv2D(n, activation=activation, **conv) for n in (width, 2 * width)]
    encoder += [layers.Flatten(), layers.Dense(_whole("code_size", code_size), name="code")]
    decoder = [layers.Dense(math.prod(small), activation), layers.Reshape(small)]
    decoder += [layers.Conv2DTranspose(width, activation=activation, **conv)]
    decoder += [layers.Conv2DTranspose(image[2], activation="sigmoid", name="pixels", **conv)]
    decoder += [layers.Cropping2D(surplus)] if surplus != [(0, 0), (0, 0)] else []
    return _autoencoder(encoder, decoder, "convolutional", image)


def stacked(
    widths: Sequence[int] = (392, 196),
    decoder: Sequence[int] | None = None,
    activation: str = "selu",
    initializer: str = "lecun_normal",
    shape: Sequence[int] = IMAGE,
) -> Autoencoder:
    """Dense layers pixels -> widths -> decoder -> pixels, each with the activation, sigmoid at the end (chapter 03).

    widths: of the encoder's layers, outermost first; the last is the code. decoder: widths of the decoder's hidden
    layers, innermost first; None mirrors the encoder. initializer: of all kernels before the last.
    shape: of the images.
    """
    image, widths = _image(shape), _widths("widths", widths)
    back = widths[-2::-1] if decoder is None else _widths("decoder", decoder, least=0)

    def dense(sizes: Sequence[int]) -> list[Any]:
        return [layers.Dense(n, activation, kernel_initializer=initializer) for n in sizes]

    pixels = [layers.Dense(math.prod(image), "sigmoid", name="pixels"), layers.Reshape(image)]
    return _autoencoder([layers.Flatten(), *dense(widths)], [*dense(back), *pixels], "stacked", image)


def residual(
    pca: Any,
    code_size: int = 64,
    hidden: int = 512,
    activation: str = "gelu",
    shape: Sequence[int] = IMAGE,
) -> Autoencoder:
    """Begin as PCA and learn the rest: a linear code, and a decoder that adds a hidden layer's correction (chapter 02).

    pca: anything with mean (pixels,), components (pixels, n) and variances (n,), such as `baselines.PCA`;
        n >= code_size, and as many pixels as shape has: ValueError otherwise. shape: of the images.
    The code starts as PCA's, each number scaled to variance one; the correction starts at zero; the pixels are clipped
    to [0, 1]. Untrained, the model therefore answers what PCA with code_size numbers answers, clipped.
    """
    image, code_size = _image(shape), _whole("code_size", code_size)
    pixels = math.prod(image)
    _require_pca(pca, code_size, image)
    scale, axes = np.sqrt(np.maximum(pca.variances[:code_size], 1e-12)), pca.components[:, :code_size]
    code, back = layers.Dense(code_size, name="code"), layers.Dense(pixels, name="pca")
    z = layers.Input((code_size,))
    correction = layers.Dense(pixels, use_bias=False, kernel_initializer="zeros", name="correction")
    sum_of_both = layers.Add()([back(z), correction(layers.Dense(_whole("hidden", hidden), activation)(z))])
    answer = layers.Reshape(image)(layers.ReLU(max_value=1.0, name="pixels")(sum_of_both))
    encoder = keras.Sequential([layers.Input(image), layers.Flatten(), code], name="encoder")
    code.set_weights([axes / scale, -(pca.mean @ axes) / scale])
    back.set_weights([(axes * scale).T, pca.mean])
    return Autoencoder(encoder, keras.Model(z, answer, name="decoder"), name="residual")


def sparse(
    code_size: int = 1024,
    sparsity: Any = None,
    activation: str | None = None,
    mean: np.ndarray | None = None,
    gain: float = 1.0,
    bias: float = 0.0,
    shape: Sequence[int] = IMAGE,
) -> Autoencoder:
    """One layer of code_size units, more than the image has pixels, and a linear decoder (chapter 08).

    Each unit has a picture, its row of the decoder's kernel, which training keeps at length one: otherwise codes could
    shrink, and pictures grow, to please a penalty.
    sparsity: the layer behind the units that keeps most of them silent, such as `layers.KSparse`; None for none.
    activation: of the units; linear for k-sparse, "relu" for L1, "sigmoid" for KL.
    mean: (pixels,); with it a unit starts as activation(gain * picture . (x - mean) + bias), it looks for its own
        picture (Gao et al. 2024), which leaves fewer units dead. Without, both kernels are drawn independently.
    shape: of the images.
    """
    image, code_size = _image(shape), _whole("code_size", code_size)
    if mean is not None and np.shape(mean) != (math.prod(image),):
        raise ValueError(f"mean of shape {np.shape(mean)}: images of shape {image} have ({math.prod(image)},) pixels")
    if sparsity is not None and not isinstance(sparsity, keras.layers.Layer):
        raise ValueError(f"sparsity={sparsity!r} is no layer; pass one, such as aebook.layers.KSparse(16)")
    units = layers.Dense(code_size, activation, name="units")
    unit_norm = keras.constraints.UnitNorm(axis=1)
    pixels = layers.Dense(math.prod(image), kernel_constraint=unit_norm, name="pixels")
    encoder = [layers.Flatten(), units, *([sparsity] if sparsity is not None else [])]
    model = _autoencoder(encoder, [pixels, layers.Reshape(image)], "sparse", image)
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
    Raises ValueError for another model.
    """
    if not isinstance(plain, Autoencoder) or isinstance(plain, VAE):
        raise ValueError(f"{plain!r} is no plain autoencoder; pass one, such as aebook.models.vanilla(8)")
    *_, hidden, z_mean = plain.encoder.layers
    if not isinstance(z_mean, layers.Dense):
        raise ValueError(
            f"the code of {plain.name!r} is made by {type(z_mean).__name__}; a variational one needs a Dense layer "
            "there, as in aebook.models.vanilla(8)"
        )
    _require_probabilities(plain)
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
    shape: Sequence[int | None] = IMAGE,
) -> keras.Model:
    """Strided convolutions down, transposed ones up, residual blocks at every smaller size (chapters 05 to 07).

    widths: channels at each smaller size, the largest size first; each is `stride` times smaller than the one before.
    code: squeeze the smallest maps into so many channels, on a layer named "code"; None keeps them as they are.
    skips: let the way up see the maps of the way down, 16 of full size among them (Ronneberger et al. 2015).
    residual: add the result to the image, so that only the difference is learned (Zhang et al. 2017). A new model then
        answers with its input, and its pixels are not confined to [0, 1]. Without, they end in a sigmoid.
    blocks: residual blocks at each size. activation: "gelu" learns no more and costs half as much again.
    shape: of the images; None for a height or width that may be any. Unless stride ** len(widths) is known to divide
        both, the last row and column are repeated until it does (`layers.PadToMultiple`), and the answer is cut to the
        image's size. The weights are the same for every shape. With a known size that is divided, the model is made of
        Keras's own layers alone and loads where this package is not installed.
    """
    image, widths = _image(shape, unknown=True), _widths("widths", widths)
    stride, blocks = _whole("stride", stride), _whole("blocks", blocks, least=0)
    multiple = stride ** len(widths)
    fits = all(size is not None and size % multiple == 0 for size in image[:2])
    how, down, up = _convolutions(stride, activation)

    def refine(h: Any) -> Any:
        for _ in range(blocks):
            h = layers.Add()([h, layers.Conv2D(h.shape[-1], 3, **how)(h)])
        return h

    def widen(h: Any, width: int) -> Any:
        h = layers.Conv2DTranspose(width, **up)(h)
        return layers.Conv2D(width, 3, **how)(layers.Concatenate()([h, maps.pop()])) if skips else h

    x = layers.Input(image)
    seen = x if fits else PadToMultiple(multiple)(x)
    maps = [layers.Conv2D(16, 3, **how)(seen) if skips else seen]
    for width in widths:
        maps.append(refine(layers.Conv2D(width, **down)(maps[-1])))
    h = maps.pop()
    if code is not None:
        h = layers.Conv2D(_whole("code", code), 1, name="code")(h)
        h = refine(layers.Conv2D(widths[-1], 3, **how)(h))
    for width in widths[-2::-1]:
        h = refine(widen(h, width))
    h = widen(h, 16)
    start = {"kernel_initializer": "zeros"} if residual else {"activation": "sigmoid"}
    h = layers.Conv2D(image[-1], 3, padding="same", name="pixels", **start)(h)
    h = h if fits else CropTo()([h, x])
    return keras.Model(x, layers.Add()([x, h]) if residual else h, name="denoiser")


def _convolutions(stride: int, activation: str) -> tuple[dict[str, Any], ...]:
    """Arguments of a denoiser's convolutions that keep the size, that make it smaller, and that make it larger."""
    how: dict[str, Any] = {"padding": "same", "activation": activation, "kernel_initializer": "he_normal"}
    down = {**how, "kernel_size": 2 * stride, "strides": stride}
    # An output of a transposed convolution sums only a part, 1 / stride ** 2, of what Keras counts as its inputs.
    up = {**down, "kernel_initializer": keras.initializers.VarianceScaling(2 * stride**2, "fan_out")}
    return how, down, up


# ---- what the builders share


def _autoencoder(encoder: list[Any], decoder: list[Any], name: str, image: tuple[int, ...]) -> Autoencoder:
    first = keras.Sequential([layers.Input(image), *encoder], name="encoder")
    second = keras.Sequential([layers.Input(first.output_shape[1:]), *decoder], name="decoder")
    return Autoencoder(first, second, name=name)


def _tie(config: Any, found: dict[str, Any]) -> Any:
    """A decoder's configuration with the layers of its mirrors replaced by the encoder's of the same name."""
    if isinstance(config, list):
        return [_tie(part, found) for part in config]
    if not isinstance(config, dict):
        return config
    mirrored = config.get("layer")
    if isinstance(mirrored, dict) and mirrored.get("config", {}).get("name") in found:
        return {**config, "layer": found[mirrored["config"]["name"]]}
    return {key: _tie(part, found) for key, part in config.items()}


def _whole(name: str, value: Any, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name}={value!r}: expected a whole number, {least} or more")
    return int(value)


def _widths(name: str, values: Any, least: int = 1) -> list[int]:
    """The widths of layers as whole numbers; least: how many layers there must be."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        example = f"({values},)" if isinstance(values, Integral) else "(256,)"
        raise ValueError(f"{name}={values!r}: expected one width for each layer, such as {name}={example}")
    widths = [_whole(f"{name}[{i}]", value) for i, value in enumerate(values)]
    if len(widths) < least:
        raise ValueError(f"{name}={values!r}: expected at least one width, such as {name}=(64,)")
    return widths


def _image(shape: Any, unknown: bool = False) -> Any:
    """The shape as three whole numbers; unknown: whether height and width may be None."""
    sizes = tuple(shape) if isinstance(shape, Iterable) and not isinstance(shape, str) else (shape,)
    wanted = "(height, width, channels) of one image, such as (28, 28, 1)"
    if len(sizes) == 2:
        raise ValueError(
            f"shape={shape!r} has no channels; expected {wanted}.\n  Pass shape={(*sizes, 1)} and images x[..., None]"
        )
    if len(sizes) == 4:
        raise ValueError(f"shape={shape!r} counts images as well; expected {wanted}.\n  Pass shape={sizes[1:]}")
    if len(sizes) != 3:
        raise ValueError(f"shape={shape!r}: expected {wanted}")
    for name, size in zip(("height", "width", "channels"), sizes, strict=True):
        if size is None and unknown and name != "channels":
            continue
        if isinstance(size, bool) or not isinstance(size, Integral) or size < 1:
            raise ValueError(f"shape={shape!r}: its {name}, {size!r}, is no whole number above 0; expected {wanted}")
    return tuple(size if size is None else int(size) for size in sizes)


def _require_pca(pca: Any, code_size: int, image: tuple[int, ...]) -> None:
    pixels, components = pca.components.shape
    if pixels != math.prod(image):
        raise ValueError(
            f"the PCA is of images of {pixels} pixels, shape={image} has {math.prod(image)}.\n  Pass the shape of the "
            "images that the PCA was fitted to"
        )
    if code_size > components:
        raise ValueError(f"code_size={code_size}: the PCA has {components} components only")


def _require_probabilities(plain: Autoencoder) -> None:
    """Refuse a decoder whose last layer is linear or clipped: a cross-entropy needs pixels inside of (0, 1)."""
    last = [layer for layer in plain.decoder.layers if not isinstance(layer, layers.Reshape | layers.Cropping2D)][-1]
    if isinstance(last, layers.ReLU) or getattr(last, "activation", None) is keras.activations.linear:
        raise ValueError(
            f"the pixels of {plain.name!r} are no probabilities: its decoder does not end in a sigmoid, as that of "
            "aebook.models.vanilla(8) does"
        )
