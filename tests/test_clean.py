"""The command that cleans pages: `python -m aebook clean IN… -o OUT [--model FILE]`."""

import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from aebook import __main__, baselines, clean, documents, models

sys.path.insert(0, str(Path(__file__).parents[1] / "book" / "tools"))

import cleaner

BOUND = 0.045  # RMSE of the shipped model on pages it never saw
SMALL = {"widths": [2], "residual": True}  # a network that at first answers with its input


def brighter(by=0.2):
    """A small network that adds so much to each pixel."""
    model = models.denoiser(**SMALL, shape=clean.PAGES)
    model.get_layer("pixels").bias.assign([by])
    return model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "brighter.npz"
    clean.save_weights(brighter(), path, **SMALL)
    return path


@pytest.fixture
def scans(tmp_path):
    """A folder with pages of three sizes and formats."""
    rng, folder = np.random.default_rng(0), tmp_path / "scans"
    folder.mkdir()
    for name, size in {"one.png": (20, 31), "two.tif": (300, 270), "three.bmp": (1, 5)}.items():
        Image.fromarray(rng.integers(0, 256, size, "uint8")).save(folder / name)
    return folder


def run(*arguments):
    __main__.main(["clean", *map(str, arguments)])


def refusal(*arguments):
    with pytest.raises(SystemExit) as stopped:
        run(*arguments)
    return str(stopped.value)  # Python prints it to stderr and exits with 1


def grey(path):
    return np.asarray(Image.open(path).convert("L"), "int64")


@pytest.mark.parametrize("watched", [True, False])
def test_every_page_of_a_folder_is_cleaned_by_the_model(scans, tmp_path, model, capsys, monkeypatch, watched):
    monkeypatch.setattr(clean, "somebody_watches", lambda: watched)
    before = {path: path.read_bytes() for path in scans.iterdir()}
    run(scans, "-o", tmp_path / "new" / "out", "--model", model)
    assert {path.name for path in (tmp_path / "new" / "out").iterdir()} == {"one.png", "two.png", "three.png"}
    for path, content in before.items():
        assert path.read_bytes() == content
        cleaned = Image.open(tmp_path / "new" / "out" / f"{path.stem}.png")
        assert cleaned.mode == "L" and (np.asarray(cleaned) == np.minimum(grey(path) + 51, 255)).all()
    printed = capsys.readouterr()
    assert "clean: 3 of 3 pages cleaned" in printed.out and ("3/3 two.tif" in printed.err) is watched


def test_what_a_model_answers_is_kept_between_black_and_white(scans, tmp_path):
    clean.save_weights(brighter(-0.6), tmp_path / "darker.npz", **SMALL)
    run(scans / "one.png", "-o", tmp_path / "out", "--model", tmp_path / "darker.npz")
    assert (grey(tmp_path / "out" / "one.png") == np.maximum(grey(scans / "one.png") - 153, 0)).all()


def test_bad_files_are_named_and_good_ones_cleaned(scans, tmp_path, model, capsys):
    (scans / "cut.png").write_bytes((scans / "one.png").read_bytes()[:-30])
    (scans / "note.jpg").write_text("Dear reader")
    (tmp_path / "a note.txt").write_text("Dear reader")
    message = refusal(scans, tmp_path / "a note.txt", tmp_path / "absent.png", "-o", tmp_path / "out", "--model", model)
    for bad in ("a note.txt", "cut.png", "note.jpg", "absent.png"):
        assert f"{bad} is no readable page" in message
    assert "one.png" not in message
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"one.png", "two.png", "three.png"}
    assert "clean: 3 of 7 pages cleaned" in capsys.readouterr().out


def test_what_is_no_picture_by_its_name_is_skipped_and_named(scans, tmp_path, model, capsys):
    (scans / "one.png").rename(scans / "one.PNG")
    (scans / "inside.png").mkdir()
    for name in ("Thumbs.db", ".DS_Store", "._two.tif", "desktop.ini", "a note.txt"):
        (scans / name).write_text("left by a system")
    run(scans, "-o", tmp_path / "out", "--model", model)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"one.png", "two.png", "three.png"}
    printed = capsys.readouterr().out
    assert (
        "skipped, no pictures by their names: .DS_Store, ._two.tif, Thumbs.db, a note.txt, desktop.ini, inside.png/"
        in printed
    )


def test_no_file_is_overwritten(scans, tmp_path, model):
    before = (scans / "one.png").read_bytes()
    assert "one.png exists already and stays as it is" in refusal(scans, "-o", scans, "--model", model)
    assert (scans / "one.png").read_bytes() == before and (scans / "two.png").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "one.png").write_text("work of a day")
    message = refusal(scans / "one.png", "-o", tmp_path / "out", "--model", model)
    assert "one.png exists already" in message and "Delete or rename it" in message
    assert (tmp_path / "out" / "one.png").read_text() == "work of a day"


def test_a_page_that_somebody_else_writes_meanwhile_stays(scans, tmp_path, model, monkeypatch):
    read, target = documents.read_page, tmp_path / "out" / "one.png"
    monkeypatch.setattr(documents, "read_page", lambda path: target.write_text("work of a day") and read(path))
    assert "one.png exists already" in refusal(scans / "one.png", "-o", tmp_path / "out", "--model", model)
    assert target.read_text() == "work of a day"


def shaded(path, value, **how):
    path.parent.mkdir(exist_ok=True)
    Image.new("L", (4, 4), value).save(path, **how)
    return path


def test_pages_that_differ_in_suffix_case_or_folder_get_names_of_their_own(tmp_path, model, capsys):
    expected = {
        shaded(tmp_path / "a" / "page.bmp", 10): "page.bmp.png",
        shaded(tmp_path / "a" / "page.png", 20): "page.png",
        shaded(tmp_path / "a" / "page.bmp.tif", 30): "page.bmp-2.png",
        shaded(tmp_path / "b" / "page.png", 40): "page-2.png",
        shaded(tmp_path / "b" / "PAGE.PNG", 50, format="PNG"): "PAGE.PNG.png",
        shaded(tmp_path / "b" / "single.tif", 60): "single.png",
        shaded(tmp_path / "b" / "gro\u0308ße.png", 70): "gro\u0308ße.png",
        shaded(tmp_path / "b" / "GRÖSSE.bmp", 80): "GRÖSSE.bmp.png",
    }
    assert clean._names(list(expected)) == expected
    run(*expected, "-o", tmp_path / "out", "--model", model)
    assert {path.name: int(grey(path)[0, 0]) for path in (tmp_path / "out").iterdir()} == {
        name: 61 + 10 * i for i, name in enumerate(expected.values())
    }
    printed = capsys.readouterr().out
    assert f"{tmp_path / 'a' / 'page.bmp'} becomes page.bmp.png, since another page is called page" in printed
    assert "8 of 8 pages" in printed


def test_a_page_named_twice_is_cleaned_once(scans, tmp_path, model, capsys):
    run(scans, scans / "one.png", scans / ".." / "scans" / "two.tif", "-o", tmp_path / "out", "--model", model)
    assert "3 of 3 pages" in capsys.readouterr().out


def test_an_output_folder_that_cannot_be_made_is_noticed_before_any_page_is_read(scans, tmp_path, model, monkeypatch):
    monkeypatch.setattr(documents, "read_page", None)
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "out"):
        message = refusal(scans, "-o", out, "--model", model)
        assert f"the folder {out} cannot be made" in message and "Name another folder with -o" in message


def test_a_folder_in_which_nothing_can_be_written_is_noticed_before_any_page_is_read(
    scans, tmp_path, model, monkeypatch
):
    def refused(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(documents, "read_page", None)
    monkeypatch.setattr(clean.tempfile, "TemporaryDirectory", refused)
    assert "nothing can be written there: Permission denied" in refusal(scans, "-o", tmp_path, "--model", model)


def test_a_full_disk_ends_the_work_and_leaves_no_half_page(scans, tmp_path, model, monkeypatch):
    def full(image, path, *format):
        path.write_bytes(b"half a page")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    message = refusal(scans, "-o", tmp_path / "out", "--model", model)
    assert "one.png cannot be written: No space left on device\n  Make room" in message and "two" not in message
    assert list((tmp_path / "out").iterdir()) == []


def test_a_planted_link_is_not_followed(scans, tmp_path, model):
    """Neither at the name of a result nor at any name that the command takes while it writes."""
    (tmp_path / "out").mkdir()
    (tmp_path / "precious").write_text("work of a day")
    for name in (".one.part", "one.png", ".two.part"):
        (tmp_path / "out" / name).symlink_to(tmp_path / "precious")
    (tmp_path / "out" / "three.png").symlink_to(tmp_path / "not yet there")
    message = refusal(scans, "-o", tmp_path / "out", "--model", model)
    assert "one.png exists already" in message and "three.png exists already" in message
    assert (tmp_path / "precious").read_text() == "work of a day" and not (tmp_path / "not yet there").exists()
    assert (tmp_path / "out" / "two.png").is_file() and not (tmp_path / "out" / "two.png").is_symlink()


def test_results_may_be_read_by_whom_the_system_allows(scans, tmp_path, model):
    run(scans / "one.png", "-o", tmp_path / "out", "--model", model)
    (tmp_path / "other").touch()
    assert (tmp_path / "out" / "one.png").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_folder_without_pages_is_no_success(tmp_path, model):
    (tmp_path / "empty").mkdir()
    message = refusal(tmp_path / "empty", "-o", tmp_path / "out", "--model", model)
    assert f"{tmp_path / 'empty'} holds no pages\n  Name pictures" in message and not (tmp_path / "out").exists()


def test_whoever_stops_the_command_is_told_in_a_line_how_to_go_on(scans, tmp_path, model, monkeypatch, capsys):
    save = Image.Image.save

    def stopped(image, path, *format):
        save(image, path, *format)
        if image.size == (5, 1):
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Image.Image, "save", stopped)
        with pytest.raises(SystemExit) as ended:
            run(scans, "-o", tmp_path / "out", "--model", model)
    told = "clean: stopped. 1 of 3 pages are cleaned. Run the same command again for the others; what is there stays."
    assert ended.value.code == 130 and capsys.readouterr().err.strip() == told
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["one.png"]
    refusal(scans, "-o", tmp_path / "out", "--model", model)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"one.png", "two.png", "three.png"}


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="names there are text")
def test_names_that_are_no_text_and_terminals_without_letters_do_no_harm(tmp_path):
    folder = os.fsencode(tmp_path) + b"/gr\xf6\xdfe"
    os.mkdir(folder)
    with open(folder + b"/page.txt", "wb") as file:
        file.write(b"no page")
    Image.new("L", (4, 4)).save(file := io.BytesIO(), "PNG")
    with open(folder + b"/gr\xfcn.png", "wb") as page:
        page.write(file.getvalue())
    command = [sys.executable, "-m", "aebook", "clean", folder, "-o", folder + b"/\xc3\xa9t\xc3\xa9"]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0 and b"1 of 1 pages cleaned into" in done.stdout and b"page.txt" in done.stdout


# ---- weights


def arrays(model):
    return {f"arr_{i}": array for i, array in enumerate(model.get_weights())}


def test_weights_come_back_with_the_network_that_they_belong_to(tmp_path):
    network = models.denoiser((4, 6), code=3, skips=True, blocks=2, activation="gelu", shape=clean.PAGES)
    how = {"widths": (4, 6), "code": 3, "skips": True, "blocks": 2, "activation": "gelu"}
    clean.save_weights(network, tmp_path / "mine.npz", **how)
    x = np.random.default_rng(0).random((1, 16, 24, 1), "float32")
    again = clean.load_network(tmp_path / "mine.npz")
    assert (again.predict(x, verbose=0) == network.predict(x, verbose=0)).all()


def test_what_numpy_alone_stores_is_taken_for_the_shipped_networks_weights(tmp_path):
    weights = [np.float64(array) / 2 for array in clean.load_network().get_weights()]
    np.savez(tmp_path / "half.npz", *weights)
    for mine, given in zip(clean.load_network(tmp_path / "half.npz").get_weights(), weights, strict=True):
        assert mine.dtype == "float32" and (mine == given).all()


def test_weights_of_another_network_are_not_written(tmp_path):
    for how in ({"widths": (3,), "residual": True}, {"widths": (2,), "skips": True}, {}, {"width": 2}):
        with pytest.raises(ValueError, match=r"mine\.npz is not written: "):
            clean.save_weights(brighter(), tmp_path / "mine.npz", **how)
    with pytest.raises(ValueError, match=r"does not end in \.npz; weights are stored as mine\.npz"):
        clean.save_weights(brighter(), tmp_path / "mine.keras", **SMALL)
    assert not list(tmp_path.iterdir())


def test_a_missing_model_is_named_before_any_work(scans, tmp_path, monkeypatch):
    monkeypatch.setattr(clean, "WEIGHTS", tmp_path / "cleaner.npz")
    for options in ([], ["--model", tmp_path / "mine.npz"], ["--model", tmp_path / "mine.keras"]):
        message = refusal(scans, "-o", tmp_path / "out", *options)
        assert message.startswith(f"clean: {options[1] if options else tmp_path / 'cleaner.npz'} is missing\n  Look at")
    assert not (tmp_path / "out").exists()


class Bomb:
    """What runs a command when it is read with pickle."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def harmful(tmp_path):
    """Files of whole models and pickles, with code in them that makes a folder, and that folder."""
    folder, trace = tmp_path / "harmful", tmp_path / "trace"
    folder.mkdir()
    make = keras.layers.Lambda(lambda x, path=str(trace): (os.makedirs(path, exist_ok=True), x)[1], (None, None, 1))
    network = keras.Sequential([keras.Input((None, None, 1)), make])
    for name in ("model.keras", "model.h5"):
        network.save(folder / name)
    shutil.rmtree(trace, ignore_errors=True)  # made while they were written
    (folder / "saved_model").mkdir()
    (folder / "saved_model" / "saved_model.pb").touch()
    brighter().save_weights(folder / "model.weights.h5")
    (folder / "model.pkl").write_bytes(pickle.dumps(Bomb(trace)))
    (folder / "pickle.npz").write_bytes((folder / "model.pkl").read_bytes())
    (folder / "keras.npz").write_bytes((folder / "model.keras").read_bytes())
    np.savez(folder / "objects.npz", np.array([Bomb(trace)], object))
    np.savez(folder / "arguments.npz", arguments=np.array(Bomb(trace), object))
    return folder, trace


def test_no_file_runs_code_and_each_is_told_the_way_to_weights(scans, tmp_path, harmful):
    folder, trace = harmful
    for path in sorted(folder.iterdir()):
        message = refusal(scans, "-o", tmp_path / "out", "--model", path)
        assert message.startswith(f"clean: {path}") and "clean.save_weights(model, 'mine.npz'" in message, path
        assert not trace.exists() and not (tmp_path / "out").exists()
    with np.load(folder / "objects.npz", allow_pickle=True) as file:
        assert file["arr_0"] is not None and trace.exists()  # such files do harm elsewhere


def test_damaged_files_are_refused(tmp_path):
    good = tmp_path / "good.npz"
    clean.save_weights(brighter(), good, **SMALL)
    content = good.read_bytes()
    damages = {
        "cut": content[:-200],
        "empty": b"",
        "text": b"Dear reader",
        "bits": content[:300] + b"x" * 300 + content[600:],
    }
    for name, damaged in damages.items():
        (tmp_path / f"{name}.npz").write_bytes(damaged)
        with pytest.raises(
            clean.CleanError, match=rf"{name}\.npz cannot be read as weights: .*\n  Copy or save it again"
        ):
            clean.load_network(tmp_path / f"{name}.npz")
    np.save(tmp_path / "one.npy", np.ones(3))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    (tmp_path / "folder.npz").mkdir()
    for name, why in {"one": "cannot be read", "folder": "is no .npz file"}.items():
        with pytest.raises(clean.CleanError, match=why):
            clean.load_network(tmp_path / f"{name}.npz")


def test_a_file_that_unpacks_to_more_than_memory_holds_is_refused_before(tmp_path, monkeypatch):
    monkeypatch.setattr(clean, "MOST", 100_000)
    np.savez_compressed(tmp_path / "large.npz", np.zeros(1_000_000, "uint8"))
    assert (tmp_path / "large.npz").stat().st_size < 10_000
    with pytest.raises(clean.CleanError, match=r"it unpacks to 1,000,128 bytes, expected at most 100,000"):
        clean.load_network(tmp_path / "large.npz")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**6, 10**9)})
    with zipfile.ZipFile(tmp_path / "said.npz", "w") as archive:
        archive.writestr("arr_0.npy", header.getvalue())
    with pytest.raises(clean.CleanError, match="cannot be read as weights"):
        clean.load_network(tmp_path / "said.npz")


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"arr_0": np.zeros((4, 4, 1, 3))},
            r"array 0 of the weights, a kernel, has shape \(4, 4, 1, 3\), but .* is \(4, 4, 1, 2\)",
        ),
        ({"arr_1": np.zeros(2, "int32")}, "array 1 of the weights, a bias, holds int32, expected finite"),
        ({"arr_1": np.array([0, np.nan])}, "array 1 .* expected finite"),
        ({"arr_1": np.array(["a", "b"])}, "array 1 .* holds <U1"),
        ({"arr_20": np.zeros(2)}, "its arrays are called arr_0, .* expected arr_0, arr_1 and so on"),
        ({"arguments": np.array("no JSON")}, "its entry 'arguments' is no JSON"),
        ({"arguments": np.array("[" * 100_000)}, "its entry 'arguments' is no JSON"),
        (
            {"arguments": np.array('["relu"]')},
            r"the builder's arguments are \['relu'\], expected some of widths, stride",
        ),
        ({"arguments": np.array('{"shape": [8, 8, 1]}')}, "expected some of widths"),
        ({"arguments": np.array('{"widths": [1000000]}')}, r"argument widths is \[1000000\], expected whole numbers"),
        ({"arguments": np.array('{"widths": [[2]]}')}, "argument widths is"),
        ({"arguments": np.array('{"widths": {"a": 2}}')}, "argument widths is"),
        ({"arguments": np.array('{"widths": 2}')}, "builds no network"),
        ({"arguments": np.array('{"widths": []}')}, "builds no network"),
        ({"arguments": np.array('{"blocks": 1000}')}, "argument blocks is 1000, expected whole numbers from 0 to 8"),
        ({"arguments": np.array('{"stride": 2.5}')}, "argument stride is"),
        ({"arguments": np.array('{"activation": "os.system"}')}, "builds no network"),
        ({"arguments": np.array('{"widths": [2, 2]}')}, "8 arrays of weights, but the network has"),
    ],
)
def test_weights_that_do_not_fit_are_refused_in_words(tmp_path, change, message):
    content = {**arrays(brighter()), "arguments": np.array(json.dumps(SMALL))}
    np.savez(tmp_path / "mine.npz", **{**content, **change})
    with pytest.raises(clean.CleanError, match=message) as refused:
        clean.load_network(tmp_path / "mine.npz")
    assert str(refused.value).startswith(f"{tmp_path / 'mine.npz'}: ")


# ---- the model that comes with the package


def rmse(pages, cleaned):
    """Independent of the package: every pixel of every page in one long row."""
    errors = np.concatenate([np.ravel(a.astype("float64") - b) for a, b in zip(pages, cleaned, strict=True)])
    return np.sqrt((errors**2).mean())


def test_the_model_that_comes_with_the_package_cleans_pages_it_never_saw(tmp_path, capsys):
    assert clean.WEIGHTS.stat().st_size < 1_000_000
    pages = documents.draw(4, seed=2_000_000)[::3]  # of every kind of dirt and every language
    (tmp_path / "in").mkdir()
    for i, page in enumerate(pages):
        Image.fromarray(documents.to_bytes(page.noisy)[..., 0]).save(tmp_path / "in" / f"{i}.png")
    run(tmp_path / "in", "-o", tmp_path / "out")
    cleaned = [np.asarray(Image.open(tmp_path / "out" / f"{i}.png"))[..., None] / 255 for i in range(len(pages))]
    truth, noisy = [page.clean for page in pages], [page.noisy for page in pages]
    divided = rmse(truth, [baselines.divide_background(page) for page in noisy])
    assert rmse(truth, cleaned) < BOUND and rmse(truth, cleaned) < 0.75 * divided < rmse(truth, noisy)


def test_no_seam_of_the_model_shows():
    """Patch by patch or at once: nowhere a grey level apart, unless the overlap is too small for what it sees."""
    network = clean.load_network()
    page = documents.draw(1, seed=2_000_000, size=(400, 480))[1].noisy
    whole = documents.clean_page(network.predict, page, 1024, 64)
    apart = [255 * abs(documents.clean_page(network.predict, page, 256, overlap) - whole).max() for overlap in (64, 0)]
    assert apart[0] < 1 and apart[1] > 10


def test_the_model_computes_in_single_precision_wherever_it_is_loaded():
    network = clean.load_network()
    assert {layer.dtype_policy.name for layer in network.layers} == {"float32"}


# ---- the tool that trains it


def test_training_goes_on_where_it_was_stopped_and_ships_what_was_learned(tmp_path, monkeypatch, capsys):
    (tmp_path / "aebook").mkdir()
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    small = {"ROOT": tmp_path, "SIZE": 32, "BATCH": 2, "STEPS": 3, "TEXTS": 1, "POOL": 4, "HELD_OUT": 1}
    for name, value in small.items():
        monkeypatch.setattr(cleaner, name, value)
    monkeypatch.setattr(clean, "ARGUMENTS", {"widths": [4]})
    monkeypatch.setattr(cleaner.documents, "SIZES", ((64, 96),) * 2)
    monkeypatch.setenv("AEBOOK_DATA_DIR", str(tmp_path / "absent"))
    seen = []
    draw, fit = documents.draw, cleaner.train.fit
    monkeypatch.setattr(cleaner.documents, "draw", lambda n, seed: seen.append(seed) or draw(n, seed))

    def stopped_after_one(*arguments, **options):
        if len(seen) == 3:
            raise KeyboardInterrupt
        return fit(*arguments, **options)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(cleaner.train, "fit", stopped_after_one)
        cleaner.main(["--minutes", "1"])
    assert seen == [0, 1, 2] and not list((tmp_path / "aebook").iterdir())
    kept = tmp_path / "_build" / "cleaner" / "rendered"
    rounds = json.loads((kept / "rounds.json").read_text())
    (kept / "rounds.json").write_text(json.dumps([rounds[0] | {"seconds": 59.99}]))
    cleaner.main(["--minutes", "1"])
    assert seen == [0, 1, 2, 0, 2]
    done = json.loads((tmp_path / "benchmarks" / "results" / "cleaner.json").read_text())
    assert done["rounds"] == 2 and set(done["rendered pages held out"]) == {
        "as they are",
        "background division",
        "model",
    }
    before = keras.saving.load_model(kept / "model.keras").optimizer
    assert int(before.iterations) == 6  # of both runs: the optimizer went on as well
    shipped = clean.load_network(tmp_path / "aebook" / "cleaner.npz")
    assert shipped.count_params() == done["weights"]
    learned = keras.saving.load_model(kept / "model.keras", compile=False).get_weights()
    assert all((a == b).all() for a, b in zip(shipped.get_weights(), learned, strict=True))
