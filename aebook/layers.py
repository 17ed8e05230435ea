"""Layers that Keras lacks, in `keras.ops` only: they run on TensorFlow, JAX and PyTorch, and save without pickles."""

import inspect
from typing import Any

import keras
from keras import ops


class Configured(keras.layers.Layer):
    """A layer or model that is saved as its constructor's arguments, each kept in the attribute of that name.

    Saved is what the attributes hold at that time. What else Keras takes, the constructor calls `options`. Who inherits
    is known to Keras by name, so that no file needs a pickle.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        keras.saving.register_keras_serializable("aebook")(cls)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        names = [name for name in inspect.signature(type(self)).parameters if name != "options"]
        own = keras.saving.serialize_keras_object({name: getattr(self, name) for name in names})
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Configured":
        """Build anew from what `get_config` returned; arguments may be layers."""
        return cls(**keras.saving.deserialize_keras_object(config, custom_objects))


class _Mirror(Configured):
    """What the transposes share: they use the very kernel of another layer and own nothing but a bias."""

    def __init__(self, layer: keras.layers.Layer, activation: Any = None, **options: Any) -> None:
        super().__init__(**options)
        self.layer = layer
        self.activation = keras.activations.get(activation)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the bias, one number for each input channel of the mirrored layer."""
        if not self.layer.built:
            raise ValueError(f"build {self.layer.name!r} first, such as by calling the encoder: it has no kernel yet")
        self.bias = self.add_weight(shape=(self.layer.kernel.shape[-2],), initializer="zeros", name="bias")


class DenseTranspose(_Mirror):
    """The mirror of a Dense layer: its kernel transposed, a bias of its own (chapter 04).

    layer: the Dense to mirror; it must have been built before this one is.
    activation: name or function applied to the result.
    Raises ValueError when built before `layer`.
    """

    def call(self, code: Any) -> Any:  # (batch, units) -> (batch, inputs)
        """Map a code back through the transposed kernel."""
        kernel = ops.cast(self.layer.kernel, code.dtype)
        return self.activation(ops.matmul(code, ops.transpose(kernel)) + self.bias)


class TiedConv2DTranspose(_Mirror):
    """The mirror of a Conv2D layer: the transposed convolution by its kernel, a bias of its own (chapter 04).

    layer: the Conv2D to mirror, with padding "same" and strides that divide the image; as in `DenseTranspose`, it must
    have been built, or ValueError is raised. activation: name or function applied to the result.
    """

    def call(self, code: Any) -> Any:  # (batch, h, w, filters) -> (batch, h * stride, w * stride, channels)
        """Map feature maps back through the kernel."""
        kernel = ops.cast(self.layer.kernel, code.dtype)  # (rows, columns, channels, filters), as conv_transpose wants
        back = ops.conv_transpose(code, kernel, self.layer.strides, padding=self.layer.padding)
        return self.activation(back + self.bias)


class Sampling(Configured):
    """Draw z = z_mean + exp(scale * s) * epsilon with epsilon ~ N(0, 1): the reparameterisation trick (chapter 11).

    scale: 0.5 where s is the log variance, as everywhere in this book; 1.0 where s is the log standard deviation.
    seed: of the noise.
    """

    def __init__(self, scale: float = 0.5, seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.scale, self.seed, self.built = scale, seed, True  # there is nothing to build
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: list[Any]) -> Any:  # two of (batch, latent) -> (batch, latent)
        """Sample once for each row of the two inputs, z_mean and s."""
        z_mean, spread = inputs
        epsilon = keras.random.normal(ops.shape(z_mean), dtype=z_mean.dtype, seed=self.generator)
        return z_mean + ops.exp(self.scale * spread) * epsilon


class KSparse(Configured):
    """Keep the k largest numbers of each code and set the others to zero (Makhzani & Frey 2013; chapter 08).

    k: how many to keep; numbers equal to the k-th largest are all kept. Gradients reach the kept numbers only.
    It may be changed between two calls of `train.fit`, which compiles anew.
    Raises ValueError unless 1 <= k <= units.
    """

    def __init__(self, k: int, **options: Any) -> None:
        super().__init__(**options)
        self.k = k

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Compare k with the number of units."""
        if not 1 <= self.k <= (input_shape[-1] or 0):
            raise ValueError(f"cannot keep the {self.k} largest of {input_shape[-1]} units")

    def call(self, code: Any) -> Any:  # (batch, units) -> (batch, units)
        """Silence all but the strongest units of each code."""
        least = ops.top_k(code, self.k)[0][..., -1:]
        return ops.where(code >= least, code, ops.zeros_like(code))


class L1Sparsity(Configured):
    """Pass a code on unchanged and add weight * mean over images of the sum of |code| to the loss (chapter 08).

    weight: of the penalty, which is the same however the images are batched. Bound the length of the decoder's rows
    beside it, or the code shrinks while they grow.
    """

    def __init__(self, weight: float, **options: Any) -> None:
        super().__init__(**options)
        self.weight = weight

    def call(self, code: Any) -> Any:  # (batch, units) -> (batch, units)
        """Add the penalty; return the code."""
        self.add_loss(self.weight * ops.mean(ops.sum(ops.abs(code), axis=-1)))
        return code


class KLSparsity(Configured):
    """Add weight * sum over units of KL(rate || mean activity) to the loss (Lee et al. 2008; Ng 2011; chapter 08).

    rate: the wanted mean activity of each unit, in (0, 1), as must be the code: use a sigmoid.
    momentum: of the running mean, updated in training only: the mean of one batch overstates the divergence. The
        gradient is the divergence's slope at the running mean, passed to the batch at hand at full strength.
    Raises ValueError for a rate outside (0, 1) or a momentum outside [0, 1).
    """

    def __init__(self, rate: float, weight: float, momentum: float = 0.9, **options: Any) -> None:
        super().__init__(**options)
        if not (0 < rate < 1 and 0 <= momentum < 1):
            raise ValueError(f"rate={rate} must lie in (0, 1), momentum={momentum} in [0, 1)")
        self.rate, self.weight, self.momentum = rate, weight, momentum

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the running mean, which starts at the wanted rate."""
        start = keras.initializers.Constant(self.rate)
        self.mean = self.add_weight(shape=(input_shape[-1],), initializer=start, trainable=False, name="mean")

    def call(self, code: Any, training: bool | None = None) -> Any:  # (batch, units) -> (batch, units)
        """Add the penalty; return the code."""
        batch = ops.mean(code, axis=0)
        if training:
            self.mean.assign(self.momentum * self.mean + (1 - self.momentum) * ops.stop_gradient(batch))
        mean = ops.clip(batch + ops.stop_gradient(self.mean - batch), 1e-7, 1 - 1e-7)
        kept, silent = self.rate * ops.log(self.rate / mean), (1 - self.rate) * ops.log((1 - self.rate) / (1 - mean))
        self.add_loss(self.weight * ops.sum(kept + silent))
        return code
