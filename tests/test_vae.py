"""The variational autoencoder against quadrature, SciPy and sampling: its loss, its bounds, and its way to disk."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from scipy import integrate, special, stats

from aebook import losses, metrics, models, train

RNG = np.random.default_rng(0)
GREY = RNG.random((20, 28, 28, 1), "float32")
BLACK = (GREY > 0.7).astype("float32")


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def small(code_size=3, seed=0, **options):
    """A model whose latents are neither standard normal nor all alike."""
    keras.utils.set_random_seed(seed)
    model = models.vae(models.vanilla(code_size, (8,)), **options)
    for name, bias in (("code", np.linspace(-1, 2, code_size)), ("z_log_var", np.linspace(-3, 1, code_size))):
        model.encoder.get_layer(name).bias.assign(bias)
    return model


def silent(model):
    """The same model with a decoder that does not look at the latents, so that no draw changes its answer."""
    kernel, bias = model.decoder.get_layer("pixels").get_weights()
    model.decoder.get_layer("pixels").set_weights([0 * kernel, np.linspace(-2, 1, len(bias))])
    return model


def charged(model, x, **options):
    model.compile()
    return model.evaluate(x, verbose=0, return_dict=True, **options)


def kl_by_quadrature(mean, log_var):
    q, p = stats.norm(mean, np.exp(log_var / 2)), stats.norm()
    edges = mean + np.array([-12, 12]) * np.exp(log_var / 2)
    return integrate.quad(lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), *edges, epsabs=1e-10)[0]


# ---- the KL term


@pytest.mark.parametrize("mean", [-2.0, 0.0, 0.3])
@pytest.mark.parametrize("log_var", [-4.0, -0.5, 0.0, 1.5])
def test_the_kl_term_is_the_integral(mean, log_var):
    found = float(losses.kl(np.float32(mean), np.float32(log_var)))
    assert found == pytest.approx(kl_by_quadrature(mean, log_var), rel=1e-5, abs=1e-6)


def test_the_kl_term_is_the_mean_surprise_of_draws():
    z = RNG.normal(0.8, np.exp(-0.5), 100_000)
    surprise = stats.norm(0.8, np.exp(-0.5)).logpdf(z) - stats.norm().logpdf(z)
    assert abs(surprise.mean() - float(losses.kl(0.8, -1.0))) < 4 * stats.sem(surprise)


# ---- the loss


@pytest.mark.parametrize("beta", [0.392, 7.0])
def test_the_loss_printed_is_its_parts_summed_over_pixels_and_latents(beta):
    model = silent(small(beta=beta))
    found = charged(model, GREY, batch_size=16)  # the second batch is smaller
    mean, log_var = (numpy(half) for half in model.encoder(GREY))
    kl = [sum(kl_by_quadrature(m, v) for m, v in zip(*rows, strict=True)) for rows in zip(mean, log_var, strict=True)]
    p = special.expit(np.linspace(-2, 1, 784)).reshape(28, 28, 1)
    surprise = -(special.xlogy(GREY, p) + special.xlog1py(1 - GREY, -p)).sum(axis=(1, 2, 3))
    assert found["reconstruction"] == pytest.approx(surprise.mean(), rel=1e-5)
    assert found["kl"] == pytest.approx(np.mean(kl), rel=1e-4)
    assert found["loss"] == pytest.approx(found["reconstruction"] + beta * found["kl"], rel=1e-6)


def test_training_prints_what_adds_up_and_lowers_it():
    model = small(2, beta=0.5, binary=True)
    model.compile("adam")
    history = model.fit(GREY, epochs=3, batch_size=8, verbose=0, validation_data=(BLACK,)).history
    assert set(history) == {f"{prefix}{name}" for prefix in ("", "val_") for name in ("loss", "reconstruction", "kl")}
    for prefix in ("", "val_"):
        loss, reconstruction, kl = (np.array(history[prefix + name]) for name in ("loss", "reconstruction", "kl"))
        np.testing.assert_allclose(loss, reconstruction + 0.5 * kl, rtol=1e-5)
    assert history["loss"][-1] < history["loss"][0]


def test_train_fit_needs_no_other_loss():
    keras.utils.set_random_seed(0)
    model = models.vae(models.convolutional(4, 16))
    data = SimpleNamespace(x_train=BLACK, x_valid=BLACK)
    history = train.fit(model, data, epochs=2, batch_size=10, loss=None)
    assert history.valid[-1] < history.valid[0]
    again = model.evaluate(BLACK, batch_size=512, verbose=0, return_dict=True)["loss"]
    assert again == pytest.approx(min(history.valid), rel=0.01)  # other draws
    assert numpy(model(BLACK[:2])).dtype == "float32"


@pytest.mark.tensorflow
def test_the_gradient_of_the_kl_term_is_the_one_on_paper():
    model = silent(small(beta=3.0))
    biases = [model.encoder.get_layer(name).bias for name in ("code", "z_log_var")]
    with tf.GradientTape() as tape:
        model(GREY)
        loss = model.losses[0]
    mean, log_var = (numpy(half) for half in model.encoder(GREY))
    for found, slope in zip(
        tape.gradient(loss, [b.value for b in biases]), (mean, (np.exp(log_var) - 1) / 2), strict=True
    ):
        np.testing.assert_allclose(found, 3 * slope.mean(axis=0), rtol=1e-4, atol=1e-5)


@pytest.mark.tensorflow
def test_the_gradient_passes_through_the_draw():
    model = small(beta=0.7)
    state = numpy(model.sampling.generator.state)

    def loss():
        model.sampling.generator.state.assign(state)  # the same noise
        model(GREY)
        return model.losses[0]

    for name in ("code", "z_log_var"):
        bias = model.encoder.get_layer(name).bias
        before, step = numpy(bias), np.eye(3, dtype="float32")[1] * 0.05
        with tf.GradientTape() as tape:
            value = loss()
        slope = tape.gradient(value, bias.value)[1]
        bias.assign(before + step)
        above = float(loss())
        bias.assign(before - step)
        below = float(loss())
        bias.assign(before)
        assert float(slope) == pytest.approx((above - below) / 0.1, rel=0.02)


@pytest.mark.tensorflow
def test_free_bits_are_charged_in_training_alone_and_let_a_latent_go_free():
    model, x = small(), GREY * np.linspace(0, 1, 20, dtype="float32")[:, None, None, None]
    images = numpy(losses.kl(*model.encoder(x)))
    units = images.mean(axis=0)
    model.free_bits = least = float(units[0])  # some images lie above, some below; so do the units
    assert (
        units.min() < least < units.max() and np.maximum(images, least).mean() > np.maximum(units, least).mean() + 1e-3
    )
    with tf.GradientTape() as tape:
        model(x, training=True)
        part = model.terms[1]
        loss = model.losses[0]
    slopes = tape.gradient(loss, model.encoder.get_layer("z_log_var").bias.value)
    assert float(part) == pytest.approx(np.maximum(units, least).sum(), rel=1e-5) and (numpy(slopes) != 0).all()
    assert charged(model, x)["kl"] == pytest.approx(units.sum(), rel=1e-5)
    still = silent(small(free_bits=1e3))  # nothing but the KL term could move the encoder, and all of it is free
    with tf.GradientTape() as tape:
        still(GREY, training=True)
        loss = still.losses[0]
    assert not numpy(tape.gradient(loss, still.encoder.get_layer("code").bias.value)).any()


def test_pixels_are_drawn_anew_with_their_grey_as_probability():
    model, exact = silent(small(binary=True)), silent(small())

    def reconstruction(model, x):
        model(x)
        return float(model.terms[0])

    drawn = [reconstruction(model, GREY) for _ in range(20)]  # linear in x: the grey images give the mean over draws
    assert len(set(drawn)) == 20 and abs(np.mean(drawn) - reconstruction(exact, GREY)) < 4 * stats.sem(drawn)
    kept = {reconstruction(model, BLACK) for _ in range(2)}
    assert kept == {reconstruction(exact, BLACK)}


# ---- the model


def test_a_variational_model_is_a_plain_one_with_a_second_head():
    plain = models.vanilla(50, (200, 200), "tanh")
    model = models.vae(plain)
    assert model.count_params() == plain.count_params() + 200 * 50 + 50
    mean, log_var = model.encoder(GREY)
    np.testing.assert_allclose(numpy(mean), numpy(plain.encoder(GREY)), atol=1e-6)
    assert mean.shape == log_var.shape == (20, 50) and model.decoder is plain.decoder


def test_the_answers_scatter_as_the_latents_do():
    model = small(1)
    answers = np.stack([numpy(model(BLACK[:1]))[0].ravel() for _ in range(120)])
    mean, log_var = (float(half[0, 0]) for half in model.encoder(BLACK[:1]))
    z = stats.norm(mean, np.exp(log_var / 2)).ppf((np.arange(120) + 0.5) / 120)[:, None]
    exact = numpy(model.decoder(z.astype("float32"))).reshape(120, -1)
    assert np.mean(answers.std(axis=0)) == pytest.approx(np.mean(exact.std(axis=0)), rel=0.25)


def test_a_model_comes_back_from_disk_with_its_codes_and_settings(tmp_path):
    model = small(beta=4.0, free_bits=0.25, binary=True)
    model.compile("adam")
    model.fit(GREY, verbose=0)
    model.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    for found, expected in zip(loaded.encoder(GREY), model.encoder(GREY), strict=True):
        np.testing.assert_allclose(numpy(found), numpy(expected), atol=1e-6)
    z = RNG.normal(size=(4, 3)).astype("float32")
    np.testing.assert_allclose(numpy(loaded.decoder(z)), numpy(model.decoder(z)), atol=1e-6)
    assert (loaded.beta, loaded.free_bits, loaded.binary) == (4.0, 0.25, True)
    assert set(charged(loaded, GREY)) == {"loss", "reconstruction", "kl"}


# ---- bounds of the evidence

LINE, STEP = np.linspace(-12, 12, 4_001, retstep=True)
PIXELS = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 1]], "float32")  # three images of three pixels
WEIGHTS, BIASES = np.array([2.5, -1.0, 0.5]), np.array([0.2, -0.4, 1.0])
MEAN, LOG_VAR = np.array([[0.3], [-0.6], [0.1]], "float32"), np.array([[-0.4], [0.2], [-1.0]], "float32")


def guess(x):
    return [ops.tile(half, (len(x) // 3, 1)) for half in (MEAN, LOG_VAR)]


def decoder(z):
    return special.expit(numpy(z) * WEIGHTS + BIASES).astype("float32")


def by_quadrature():
    """Log p(x) and the ELBO of each image, by sums over a line."""
    p = special.expit(LINE[:, None, None] * WEIGHTS + BIASES)
    joint = stats.bernoulli(p).logpmf(PIXELS).sum(axis=2) + stats.norm.logpdf(LINE)[:, None]
    q = stats.norm(MEAN[:, 0], np.exp(LOG_VAR[:, 0] / 2))
    elbo = np.sum(q.pdf(LINE[:, None]) * (joint - q.logpdf(LINE[:, None])), axis=0) * STEP
    return special.logsumexp(joint, axis=0) + np.log(STEP), elbo


def test_the_ladder_of_bounds_climbs_from_the_elbo_to_the_evidence():
    evidence, elbo = by_quadrature()
    many = np.tile(PIXELS, (100, 1))
    weights = metrics.log_weights(guess, decoder, many, 60)
    assert weights.shape == (60, 300)
    weights = weights.reshape(6_000, 3)
    np.testing.assert_allclose(weights.mean(axis=0), elbo, atol=4 * stats.sem(weights).max())
    one, five, fifty, all_of_them = (metrics.iwae(weights, k) for k in (1, 5, 50, 6_000))
    assert one == pytest.approx(weights.mean(), rel=1e-6)
    assert one < five < fifty < evidence.mean() + 0.02
    assert all_of_them == pytest.approx(evidence.mean(), abs=0.01) and evidence.mean() - one > 0.05
    p_x = np.exp(weights.reshape(-1, 5, 3)).mean(axis=1)  # the mean inside the logarithm, by hand
    assert five == pytest.approx(np.log(p_x).mean(), rel=1e-6)


def test_a_code_that_tells_nothing_weighs_every_draw_alike():
    """The prior as encoder and a decoder that does not look: each draw gives the density of six pixels."""
    nothing = ops.zeros((2, 4))
    grey = np.full((2, 6), 0.25, "float32")
    weights = metrics.log_weights(lambda x: (nothing, nothing), lambda z: grey, np.ones((2, 6), "float32"), 5)
    np.testing.assert_allclose(weights, 6 * np.log(0.25), rtol=1e-5)


def test_draws_repeat_with_their_seed_and_groups_must_fit():
    first, second, third = (metrics.log_weights(guess, decoder, PIXELS, 3, seed) for seed in (0, 0, 1))
    assert (first == second).all() and (first != third).all()
    for k in (0, 4):
        with pytest.raises(ValueError, match="of 3 samples"):
            metrics.iwae(first, k)


# ---- what the KL term hides


def test_the_kl_term_is_information_plus_mismatch():
    """Against the integrals over a line, for codes that tell, codes that do not, and some in between."""
    for mean, log_var in (
        (stats.norm.ppf((np.arange(400) + 0.5) / 400), -3.0),
        (np.full(400, 1.5), 0.0),
        (RNG.normal(size=400), -0.5),
    ):
        mean, log_var = mean[:, None], np.full((400, 1), log_var)
        q = stats.norm.logpdf(LINE[:, None], mean[:, 0], np.exp(log_var[:, 0] / 2))
        together = special.logsumexp(q, axis=1) - np.log(400)
        tells = np.mean(np.sum(np.exp(q) * (q - together[:, None]), axis=0) * STEP)
        apart = np.sum(np.exp(together) * (together - stats.norm.logpdf(LINE))) * STEP
        found = metrics.information(mean, log_var)
        np.testing.assert_allclose(found, [tells, apart], atol=0.15)
        assert sum(found) == pytest.approx(np.mean(numpy(losses.kl(mean, log_var))), abs=0.25)
    many = np.hstack([100.0 * np.arange(64)[:, None], np.zeros((64, 1))])  # every code alone, one latent asleep
    assert metrics.information(many, np.zeros((64, 2)))[0] == pytest.approx(np.log(64), abs=1e-6)


def test_active_units_are_those_whose_mean_moves():
    z_mean = np.array([[0.0, 5.0, -0.09], [0.3, 5.0, 0.09]])
    assert metrics.active_units(z_mean) == 1 and metrics.active_units(z_mean, 0.008) == 2


# ---- numbers that are set again


def test_a_new_beta_reaches_what_was_compiled():
    model = small(beta=1.0)
    first = charged(model, GREY)
    model.beta = 50.0
    second = model.evaluate(GREY, verbose=0, return_dict=True)
    assert second["loss"] == pytest.approx(second["reconstruction"] + 50 * second["kl"], rel=1e-5)
    assert second["kl"] == pytest.approx(first["kl"], rel=1e-5)


def test_a_callback_may_raise_beta_during_a_fit():
    class Warm(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.beta = float(epoch)

    model = small()
    model.compile("sgd")
    history = model.fit(GREY, epochs=3, verbose=0, callbacks=[Warm()]).history
    loss, reconstruction, kl = (np.array(history[name]) for name in ("loss", "reconstruction", "kl"))
    np.testing.assert_allclose(loss, reconstruction + np.arange(3) * kl, rtol=1e-5)


def test_a_beta_that_would_not_reach_an_outer_model_is_refused():
    model = small(beta=1.0)
    keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Dropout(0.1), model])
    with pytest.raises(AttributeError, match="another model was built of this one"):
        model.beta = 2.0
    assert model.beta == 1.0


def test_without_draws_the_answer_is_that_to_the_latents_mean():
    model = small()
    expected = model.decoder(model.encoder(GREY)[0])
    np.testing.assert_allclose(numpy(model.without_draws()(GREY)), numpy(expected), atol=1e-6)

    class Own(models.VAE):
        def call(self, x, training=None):
            return x

    with pytest.raises(ValueError, match="Export its encoder"):
        Own(model.encoder, model.decoder).without_draws()
