"""The command that cleans pages: `python -m aebook clean IN… -o OUT [--model FILE]`."""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from aebook import __main__, baselines, documents, models, train

sys.path.insert(0, str(Path(__file__).parents[1] / "book" / "tools"))

import cleaner

BOUND = 0.045  # RMSE of the shipped model on pages it never saw


def save_model(path, kernel=-1.0, **options):
    """A model of one 1 × 1 convolution; by default it turns black into white and back."""
    layer = keras.layers.Conv2D(1, 1, **options)
    model = keras.Sequential([keras.Input((None, None, 1)), layer])
    layer.set_weights([np.full((1, 1, 1, 1), kernel), np.full(1, kernel < 0)])
    model.save(path)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "negative.keras"
    save_model(path)
    return str(path)


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


@pytest.mark.parametrize("watched", [True, False])
def test_every_page_of_a_folder_is_cleaned_by_the_model(scans, tmp_path, model, capsys, monkeypatch, watched):
    monkeypatch.setattr(train, "somebody_watches", lambda: watched)
    before = {path: path.read_bytes() for path in scans.iterdir()}
    run(scans, "-o", tmp_path / "new" / "out", "--model", model)
    assert {path.name for path in (tmp_path / "new" / "out").iterdir()} == {"one.png", "two.png", "three.png"}
    for path, content in before.items():
        assert path.read_bytes() == content
        cleaned = Image.open(tmp_path / "new" / "out" / f"{path.stem}.png")
        assert cleaned.mode == "L" and (np.asarray(cleaned) == 255 - np.asarray(Image.open(path))).all()
    printed = capsys.readouterr()
    assert "clean: 3 of 3 pages cleaned" in printed.out and ("3/3 two.tif" in printed.err) is watched


def test_what_a_model_answers_is_kept_between_black_and_white(scans, tmp_path):
    save_model(tmp_path / "loud.keras", kernel=3.0)
    run(scans / "one.png", "-o", tmp_path / "out", "--model", tmp_path / "loud.keras")
    page, cleaned = (np.asarray(Image.open(folder / "one.png"), "int64") for folder in (scans, tmp_path / "out"))
    assert (cleaned == np.minimum(3 * page, 255)).all()


def test_bad_files_are_named_and_good_ones_cleaned(scans, tmp_path, model, capsys):
    (scans / "a note.txt").write_text("Dear reader")
    (scans / "cut.png").write_bytes((scans / "one.png").read_bytes()[:-30])
    (scans / "folder").mkdir()
    (scans / ".hidden").write_text("left out")
    with pytest.raises(SystemExit) as stopped:
        run(scans, tmp_path / "absent.png", "-o", tmp_path / "out", "--model", model)
    message = str(stopped.value)  # Python prints it to stderr and exits with 1
    for bad in ("a note.txt", "cut.png", "folder", "absent.png"):
        assert f"{bad} is no readable page" in message
    assert "hidden" not in message and "one.png" not in message
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"one.png", "two.png", "three.png"}
    assert "clean: 3 of 7 pages cleaned" in capsys.readouterr().out


def test_no_file_is_overwritten(scans, tmp_path, model):
    before = (scans / "one.png").read_bytes()
    with pytest.raises(SystemExit, match=r"one\.png exists already"):
        run(scans, "-o", scans, "--model", model)
    assert (scans / "one.png").read_bytes() == before and (scans / "two.png").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "one.png").write_text("work of a day")
    with pytest.raises(SystemExit, match=r"one\.png exists already"):
        run(scans / "one.png", "-o", tmp_path / "out", "--model", model)
    assert (tmp_path / "out" / "one.png").read_text() == "work of a day"


def test_pages_of_one_name_do_not_replace_each_other(scans, tmp_path, model):
    (tmp_path / "more").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "more" / "one.png")
    with pytest.raises(SystemExit, match=r"more.one\.png: .*out.one\.png exists already"):
        run(scans / "one.png", tmp_path / "more", "-o", tmp_path / "out", "--model", model)
    assert Image.open(tmp_path / "out" / "one.png").size == (31, 20)


def test_a_missing_model_is_named_before_any_work(scans, tmp_path, monkeypatch):
    monkeypatch.setattr(__main__, "CLEANER", tmp_path / "cleaner.keras")
    for options in ([], ["--model", tmp_path / "mine.keras"]):
        with pytest.raises(SystemExit, match=r"(?s)clean: .*(cleaner|mine)\.keras.*--model"):
            run(scans, "-o", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_model_is_refused(scans, tmp_path):
    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(SystemExit, match=r"(?s)clean: .*text\.keras"):
        run(scans, "-o", tmp_path / "out", "--model", tmp_path / "text.keras")
    assert not (tmp_path / "out").exists()


def test_a_model_that_returns_another_size_writes_nothing(scans, tmp_path):
    save_model(tmp_path / "half.keras", strides=2)
    with pytest.raises(SystemExit, match="cannot reshape"):
        run(scans / "one.png", "-o", tmp_path / "out", "--model", tmp_path / "half.keras")
    assert not list((tmp_path / "out").glob("*"))


def test_a_folder_without_pages_is_no_success(tmp_path, model):
    with pytest.raises(SystemExit, match="holds no pages"):
        run(tmp_path, "-o", tmp_path / "out", "--model", model)


def test_a_page_half_written_when_the_program_was_killed_is_cleaned_again(scans, tmp_path, model, monkeypatch):
    def killed(image, path, *format):
        path.write_bytes(b"half a page")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Image.Image, "save", killed)
        run(scans / "one.png", "-o", tmp_path / "out", "--model", model)
    assert not (tmp_path / "out" / "one.png").exists()
    run(scans / "one.png", "-o", tmp_path / "out", "--model", model)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["one.png"]
    assert Image.open(tmp_path / "out" / "one.png").size == (31, 20)


# ---- the model that comes with the package


def rmse(pages, cleaned):
    """Independent of the package: every pixel of every page in one long row."""
    errors = np.concatenate([np.ravel(a.astype("float64") - b) for a, b in zip(pages, cleaned, strict=True)])
    return np.sqrt((errors**2).mean())


def test_the_model_that_comes_with_the_package_cleans_pages_it_never_saw(tmp_path, capsys):
    assert __main__.CLEANER.stat().st_size < 1_000_000
    pages = documents.draw(4, seed=2_000_000)[::3]  # of every kind of dirt and every language
    (tmp_path / "in").mkdir()
    for i, page in enumerate(pages):
        Image.fromarray(documents.to_bytes(page.noisy)[..., 0]).save(tmp_path / "in" / f"{i}.png")
    run(tmp_path / "in", "-o", tmp_path / "out")
    cleaned = [np.asarray(Image.open(tmp_path / "out" / f"{i}.png"))[..., None] / 255 for i in range(len(pages))]
    clean, noisy = [page.clean for page in pages], [page.noisy for page in pages]
    divided = rmse(clean, [baselines.divide_background(page) for page in noisy])
    assert rmse(clean, cleaned) < BOUND and rmse(clean, cleaned) < 0.75 * divided < rmse(clean, noisy)


def test_no_seam_of_the_model_shows():
    """Patch by patch or at once: nowhere a grey level apart, unless the overlap is too small for what it sees."""
    network = keras.saving.load_model(__main__.CLEANER, compile=False)
    page = documents.draw(1, seed=2_000_000, size=(400, 480))[1].noisy
    whole = documents.clean_page(network.predict, page, 1024, 64)
    apart = [255 * abs(documents.clean_page(network.predict, page, 256, overlap) - whole).max() for overlap in (64, 0)]
    assert apart[0] < 1 and apart[1] > 10


def test_the_model_computes_in_single_precision_wherever_it_is_loaded():
    network = keras.saving.load_model(__main__.CLEANER, compile=False)
    assert {layer.dtype_policy.name for layer in network.layers} == {"float32"}


# ---- the tool that trains it


def test_training_goes_on_where_it_was_stopped_and_ships_what_was_learned(tmp_path, monkeypatch, capsys):
    (tmp_path / "aebook").mkdir()
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    small = {"ROOT": tmp_path, "SIZE": 32, "BATCH": 2, "STEPS": 3, "TEXTS": 1, "POOL": 4, "HELD_OUT": 1}
    for name, value in small.items():
        monkeypatch.setattr(cleaner, name, value)
    monkeypatch.setattr(cleaner, "build", lambda: models.denoiser((4,), shape=(None, None, 1)))
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
    assert seen == [0, 1, 2] and not (tmp_path / "aebook" / "cleaner.keras").exists()
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
    shipped = keras.saving.load_model(tmp_path / "aebook" / "cleaner.keras")
    assert shipped.count_params() == done["weights"]
