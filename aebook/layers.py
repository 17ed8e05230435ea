"""Layers that Keras lacks, in `keras.ops` only: they run on TensorFlow, JAX and PyTorch, and save without pickles."""

import inspect
from numbers import Integral, Real
from typing import Any, ClassVar

import keras
from keras import ops


class Configured(keras.layers.Layer):
    """A layer or model that is saved as its constructor's arguments, each kept in the attribute of that name.

    Saved is what the attributes hold at that time; what else Keras takes, the constructor calls `**options`. No file
    needs a pickle, as Keras finds the classes by name. In a new process

        import aebook.models
        model = keras.saving.load_model("x.keras")

    loads every model of the package with its optimizer. A class of your own that inherits is found, too, once its
    definition has run: Keras knows it as "Custom>Name", the book's as "aebook>Name", so that neither replaces the
    other. Models of Keras's own layers, such as most encoders, load where this package is not installed.

    An argument stays as it is once the layer is built: what Keras has compiled would keep the old value. To set it
    again raises AttributeError, except for the names in `adjustable`, for which a model compiles anew by itself.
    least: argument -> the least value that it may have; a smaller one raises ValueError.
    """

    adjustable: ClassVar[tuple[str, ...]] = ()
    least: ClassVar[dict[str, float]] = {}
    _arguments: tuple[str, ...] = ()  # of the constructor
    _inherited: frozenset[str] = frozenset()  # of the constructors of the classes above

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        above = [base for base in cls.__mro__[1:] if issubclass(base, Configured)]
        cls._inherited = frozenset(name for base in above for name in base._arguments)
        if "__init__" in vars(cls):
            parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
            own = [one.name for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
            if any(one.kind == one.VAR_POSITIONAL for one in parameters):  # `*args` hands all of them on
                own += [name for name in above[0]._arguments if name not in own]
            cls._arguments = tuple(own)
        package = "aebook" if cls.__module__.startswith("aebook.") else "Custom"
        keras.saving.register_keras_serializable(package)(cls)

    def __new__(cls, *given: Any, **options: Any) -> Any:
        """Note which of the options are arguments of a class above."""
        self = super().__new__(cls, *given, **options)
        self._handed_on = tuple(name for name in options if name in cls._inherited and name not in cls._arguments)
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        argument = name in self._arguments or name in self._inherited
        if argument and name in self.least and isinstance(value, Real) and not float(value) >= self.least[name]:
            raise ValueError(
                f"{type(self).__name__}: {name}={value!r} is less than {self.least[name]}, or no number: the "
                "penalty would become a reward"
            )
        again = argument and name in vars(self) and getattr(self, "built", False)
        if again:
            self._require_adjustable(name, value)
        super().__setattr__(name, value)
        if again:
            self.compile_anew()

    def _require_adjustable(self, name: str, value: Any) -> None:
        if name not in self.adjustable:
            raise AttributeError(
                f"{type(self).__name__}.{name} is {getattr(self, name)!r} and stays so, as what Keras has compiled "
                f"would keep the old value.\n  Make a new model with {name}={value!r} and copy the weights: "
                "new.set_weights(old.get_weights())"
            )

    def compile_anew(self) -> None:
        """Forget what was compiled with the old value of an argument; a model with `adjustable` ones says how."""

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs. Raises ValueError for an argument that no attribute holds."""
        names = dict.fromkeys([*self._arguments, *self._handed_on, *self.adjustable])
        missing = [name for name in names if not hasattr(self, name)]
        if missing:
            raise ValueError(
                f"{type(self).__name__} cannot be saved: its argument {missing[0]!r} is kept in no attribute of that "
                f"name.\n  Add self.{missing[0]} = {missing[0]} to its __init__, or write get_config and from_config"
            )
        own = keras.saving.serialize_keras_object({name: getattr(self, name) for name in names})
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Build anew from what `get_config` returned; arguments may be layers, or their configurations."""
        config = dict(config)
        for name, value in config.items():
            if not isinstance(value, keras.layers.Layer):
                config[name] = keras.saving.deserialize_keras_object(value, custom_objects)
        later = {name: config.pop(name) for name in cls.adjustable if name in config and name not in cls._arguments}
        new = cls(**config)
        for name, value in later.items():
            setattr(new, name, value)
        return new


class _Mirror(Configured):
    """What the transposes share: they use the very kernel of another layer and own nothing but a bias."""

    def __init__(self, layer: keras.layers.Layer, activation: Any = None, **options: Any) -> None:
        super().__init__(**options)
        self.layer = layer
        self.activation = keras.activations.get(activation)
        self.lone_copy = False  # whether `layer` was made for this mirror alone, by cloning

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the bias, one number for each input channel of the mirrored layer."""
        if self.lone_copy:
            raise ValueError(
                f"{self.name!r} cannot be cloned alone: its copy would mirror a copy of {self.layer.name!r}, a kernel "
                "of its own, so that the model was no longer tied.\n  Save the model and load it, or build it anew "
                "and copy the weights: new.set_weights(old.get_weights())"
            )
        if not self.layer.built:
            raise ValueError(f"build {self.layer.name!r} first, such as by calling the encoder: it has no kernel yet")
        self.bias = self.add_weight(shape=(self.layer.kernel.shape[-2],), initializer="zeros", name="bias")

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build while a file is loaded, where Keras sees to shared layers."""
        self.lone_copy = False
        super().build_from_config(config)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Build anew; `layer` may be the layer itself."""
        mirror = super().from_config(config, custom_objects)
        given = config["layer"]
        mirror.lone_copy = not isinstance(given, keras.layers.Layer) and "shared_object_id" not in given
        return mirror


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
    Raises ValueError for a k that is no whole number, and unless 1 <= k <= units. For another k make another layer.
    """

    def __init__(self, k: int, **options: Any) -> None:
        super().__init__(**options)
        if isinstance(k, bool) or not isinstance(k, Integral):
            raise ValueError(f"KSparse: k={k!r} is no whole number; it counts the units that are kept")
        self.k: int = int(k)

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
    beside it, or the code shrinks while they grow. Raises ValueError for a negative one.
    """

    least: ClassVar[dict[str, float]] = {"weight": 0}

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
    Raises ValueError for a rate outside (0, 1), a momentum outside [0, 1) or a negative weight.
    """

    least: ClassVar[dict[str, float]] = {"weight": 0}

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


class PadToMultiple(Configured):
    """Repeat the last row and the last column until both sizes are multiples of a number (chapter 07).

    multiple: that number, one at least; images whose sizes are multiples pass unchanged.
    """

    least: ClassVar[dict[str, float]] = {"multiple": 1}

    def __init__(self, multiple: int, **options: Any) -> None:
        super().__init__(**options)
        self.multiple = multiple

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Round both sizes up where they are known."""
        sizes = [size and self.rounded(size) for size in input_shape[1:3]]
        return (input_shape[0], *sizes, input_shape[3])

    def rounded(self, size: Any) -> Any:
        """The least multiple that is not below the size."""
        above = size + self.multiple - 1  # positive, as ONNX rounds quotients towards zero
        return above // self.multiple * self.multiple

    def call(self, x: Any) -> Any:  # (batch, h, w, channels) -> (batch, multiple of h, of w, channels)
        """Take the last index again and again where the image has ended."""
        for axis in (1, 2):
            size = ops.shape(x)[axis]
            x = ops.take(x, ops.minimum(ops.arange(self.rounded(size)), size - 1), axis=axis)
        return x


class CropTo(Configured):
    """Cut the first of two inputs to the height and width of the second, at its end (chapter 07)."""

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """The second input's size, the first one's channels."""
        cut, like = input_shape
        return (*like[:3], cut[3])

    def call(self, inputs: list[Any]) -> Any:  # (batch, H, W, channels), (batch, h, w, any) -> (batch, h, w, channels)
        """Keep the first rows and columns."""
        cut, like = inputs
        height, width = ops.shape(like)[1:3]
        return cut[:, :height, :width]


class PublishedKL(Configured):
    """Source E's KL term: 5e-4 times a mean, the formula for a log variance given a log deviation (chapter 11)."""

    def call(self, inputs: list[Any]) -> list[Any]:
        """Add the term to the loss and hand the inputs on."""
        z_mean, s = (ops.cast(half, "float32") for half in inputs)  # as the loss that it is added to
        self.add_loss(-5e-4 * ops.mean(1 + s - ops.square(z_mean) - ops.exp(s)))
        return inputs
