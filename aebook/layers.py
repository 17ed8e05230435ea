"""Layers that Keras lacks, in `keras.ops` only: they run on TensorFlow, JAX and PyTorch, and save without pickles."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("aebook")
class DenseTranspose(keras.layers.Layer):
    """The mirror of a Dense layer: its kernel transposed, a bias of its own (chapter 04).

    dense: the layer to mirror; it must have been built before this one is.
    activation: name or function applied to the result.
    Raises ValueError when built before `dense`.
    """

    def __init__(self, dense: keras.layers.Dense, activation: Any = None, **options: Any) -> None:
        super().__init__(**options)
        self.dense = dense
        self.activation = keras.activations.get(activation)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the bias, as long as the inputs of the mirrored layer."""
        if not self.dense.built:
            raise ValueError(
                f"build {self.dense.name!r} first, for example by calling the encoder: there is no kernel yet"
            )
        self.bias = self.add_weight(shape=(self.dense.kernel.shape[0],), initializer="zeros", name="bias")

    def call(self, code: Any) -> Any:  # (batch, units) -> (batch, inputs)
        """Map a code back through the transposed kernel."""
        kernel = ops.cast(self.dense.kernel, code.dtype)
        return self.activation(ops.matmul(code, ops.transpose(kernel)) + self.bias)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        activation = keras.activations.serialize(self.activation)
        return {
            **super().get_config(),
            "dense": keras.saving.serialize_keras_object(self.dense),
            "activation": activation,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "DenseTranspose":
        """Rebuild the layer around the deserialised layer that it mirrors."""
        return cls(**{**config, "dense": keras.saving.deserialize_keras_object(config["dense"])})


@keras.saving.register_keras_serializable("aebook")
class Sampling(keras.layers.Layer):
    """Draw z = z_mean + exp(scale * s) * epsilon with epsilon ~ N(0, 1): the reparameterisation trick (chapter 11).

    scale: 0.5 where s is the log variance, as everywhere in this book; 1.0 where s is the log standard deviation.
    seed: of the noise.
    """

    def __init__(self, scale: float = 0.5, seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.scale, self.seed = scale, seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: list[Any]) -> Any:  # two of (batch, latent) -> (batch, latent)
        """Sample once for each row of the two inputs, z_mean and s."""
        z_mean, spread = inputs
        epsilon = keras.random.normal(ops.shape(z_mean), dtype=z_mean.dtype, seed=self.generator)
        return z_mean + ops.exp(self.scale * spread) * epsilon

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {**super().get_config(), "scale": self.scale, "seed": self.seed}
