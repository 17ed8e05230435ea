"""Documents: what stands on a rendered page, what the reader refuses, and patches that leave no trace."""

import unicodedata

import matplotlib
import numpy as np
import pytest
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import uniform_filter

from aebook import baselines, data, documents

SCANS = data.cache() / "dirty-documents"


@pytest.fixture(scope="module")
def pages():
    return documents.draw(4, seed=0)


# ---- rendered pages


def test_pages_are_grey_images_of_the_public_sizes(pages):
    assert {page.noisy.shape for page in pages} == {(258, 540, 1), (420, 540, 1)}
    for image in [page.noisy for page in pages] + [page.clean for page in pages]:
        greys = image * 255
        assert image.dtype == "float32" and image.min() >= 0 and image.max() <= 1
        assert (abs(greys - greys.round()) < 1e-4).all()


def test_each_clean_page_stands_under_four_kinds_of_dirt(pages):
    assert [page.group for page in pages] == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    for first in range(0, 16, 4):
        four = pages[first : first + 4]
        assert all((page.clean == four[0].clean).all() and page.text == four[0].text for page in four)
        assert [page.name.split()[1].strip(",") for page in four] == list(documents.KINDS)
        assert len({page.noisy.tobytes() for page in four}) == 4
    assert len({page.clean.tobytes() for page in pages}) == len({page.text for page in pages}) == 4


def test_a_page_depends_on_its_seed_and_its_place_alone(pages):
    again, other = documents.draw(1, seed=0), documents.draw(1, seed=1)
    for before, same, different in zip(pages, again, other, strict=False):
        assert before.noisy.tobytes() == same.noisy.tobytes() and before.text == same.text
        assert before.clean.tobytes() != different.clean.tobytes()
        assert before.noisy.tobytes() != different.noisy.tobytes()


def test_a_size_can_be_asked_for_and_pages_differ():
    pages = documents.draw(9, size=(90, 201))
    assert {page.noisy.shape for page in pages} == {(90, 201, 1)}
    assert len({page.text for page in pages}) == 9


def test_text_is_written_in_three_scripts(pages):
    scripts = {unicodedata.name(letter).split()[0] for page in pages for letter in page.text if letter.isalpha()}
    assert scripts == {"LATIN", "GREEK", "CYRILLIC"}


def test_every_font_has_every_letter():
    for language, words in documents.WORDS.items():
        for name in documents.FONTS + documents.TEX_FONTS * (language == "English"):
            font = FT2Font(f"{matplotlib.get_data_path()}/fonts/ttf/{name}.ttf")
            assert not [letter for letter in words if not font.get_char_index(ord(letter))], (name, language)


def test_the_true_text_stands_on_the_page_uncut(monkeypatch):
    """Each line, written alone where there is room, takes the ink that the page shows."""
    fonts, load = [], ImageFont.truetype
    monkeypatch.setattr(ImageFont, "truetype", lambda *a: fonts.append(load(*a)) or fonts[-1])
    monkeypatch.setattr(documents, "KINDS", {"none": lambda random, back: np.ones_like(back)})
    pages = documents.draw(12, seed=3)
    for page, font in zip(pages, fonts[::2], strict=True):  # every other font writes what shows through
        glyphs, ink = FT2Font(font.path), 0
        assert all(glyphs.get_char_index(ord(letter)) for letter in page.text.replace("\n", "")), page.name
        for line in page.text.splitlines():
            alone = Image.new("L", (1000, 100))
            ImageDraw.Draw(alone).text((50, 20), line, font=font, fill=255)
            ink += np.asarray(alone, "float64").sum() / 255
        assert (1 - page.clean).sum(dtype="float64") == pytest.approx(ink, rel=0.01), page.name
    assert min(len(page.text) for page in pages) > 80


def test_dirt_is_as_hard_as_on_the_public_scans_and_text_stays(pages):
    """Those differ from their clean twins by 0.157, after division by the background by 0.051."""
    kept, divided = [], []
    for page in pages:
        noisy, clean = page.noisy[20:110, 100:220, 0], page.clean[20:110, 100:220, 0]
        assert np.corrcoef(noisy[clean < 1], clean[clean < 1])[0, 1] > 0.6
        kept.append(np.square(noisy - clean).mean())
        divided.append(np.square(baselines.divide_background(noisy) - clean).mean())
    assert 0.1 < np.sqrt(np.mean(kept)) < 0.25 and 0.03 < np.sqrt(np.mean(divided)) < 0.1


def test_each_kind_of_dirt_leaves_its_own_mark():
    back = np.ones((258, 540), "float32")
    back[:, :270] = 0  # ink all over the left half of the other side
    shades = {
        kind: [shade(np.random.default_rng(seed), back) for seed in range(5)] for kind, shade in documents.KINDS.items()
    }
    assert all(
        np.isfinite(shade).all() and shade.shape == back.shape for several in shades.values() for shade in several
    )
    darker = [shade[:, :9].mean() - shade[:, -9:].mean() for shade in shades["bleed-through"]]
    assert min(darker) > -1e-3 and max(darker) > 0.05  # it shows through on the right
    for shade in shades["stains"]:
        assert shade.max() == 1 and shade.min() < 0.92 and 0.3 < (shade == 1).mean() < 1
    contrast = {kind: np.mean([shade.std() for shade in several]) for kind, several in shades.items()}
    assert 2 * contrast["folds"] < contrast["wrinkles"]
    for kind in ("folds", "wrinkles"):  # light and dark sides
        assert all(shade.min() < 0.98 and shade.max() > 1.02 for shade in shades[kind])


# ---- honest splitting


def page(group: int) -> documents.Page:
    return documents.Page(np.zeros((2, 2, 1)), np.zeros((2, 2, 1)) if group >= 0 else None, "", group, str(group))


def test_splitting_never_parts_the_scans_of_a_clean_page():
    pages = [page(group) for group in [0, 1, 2, 3, 4, -1] * 4]
    rest, held_out = documents.split(pages, 2, seed=0)
    assert len({page.group for page in held_out}) == 2 and len(held_out) == 8 and len(rest) == 16
    assert not {page.group for page in held_out} & {page.group for page in rest}
    assert -1 in {page.group for page in rest}
    assert {id(page) for page in rest + held_out} == {id(page) for page in pages}
    choices = {tuple(sorted({page.group for page in documents.split(pages, 2, seed)[1]})) for seed in range(20)}
    assert len(choices) > 3 and documents.split(pages, 2, seed=0)[1] == held_out


@pytest.mark.parametrize("held_out", [0, -1, 3, 4])
def test_a_split_leaves_pages_on_both_sides(held_out):
    with pytest.raises(ValueError, match=f"held_out={held_out} of 3 clean pages"):
        documents.split([page(group) for group in (0, 0, 1, 2, -1)], held_out)


# ---- reading scans


@pytest.fixture
def scans(tmp_path):
    """Five scans of three clean pages of two sizes, and one without a twin; names that sort as text."""
    rng = np.random.default_rng(0)
    texts = {
        name: rng.integers(0, 256, size, "uint8") for name, size in zip("abc", [(5, 9), (5, 9), (7, 4)], strict=True)
    }
    for folder in ("train", "train_cleaned", "test"):
        (tmp_path / folder).mkdir()
    for name, text in zip(("2", "5", "8", "11", "14"), "abaca", strict=True):
        Image.fromarray(texts[text]).save(tmp_path / "train_cleaned" / f"{name}.png")
        Image.fromarray(texts[text] // 2).save(tmp_path / "train" / f"{name}.png")
    Image.fromarray(texts["c"]).save(tmp_path / "test" / "1.png")
    (tmp_path / "train" / "._2.png").write_bytes(b"what some systems leave beside a file")
    return tmp_path


def test_scans_are_read_with_their_twins_and_grouped_by_clean_page(scans):
    pages = documents.read(scans)
    assert {page.name for page in pages} == {f"train/{i}.png" for i in (2, 5, 8, 11, 14)} | {"test/1.png"}
    groups = {page.name: page.group for page in pages}
    assert groups["train/2.png"] == groups["train/8.png"] == groups["train/14.png"]
    assert {groups["train/2.png"], groups["train/5.png"], groups["train/11.png"]} == {0, 1, 2}
    assert pages[-1].name == "test/1.png" and pages[-1].clean is None and pages[-1].group == -1
    for page in pages:
        assert page.noisy.dtype == "float32" and page.text == ""
        assert (page.noisy[..., 0] * 255 == np.asarray(Image.open(scans / page.name))).all()
        if page.clean is not None:
            twin = np.asarray(Image.open(scans / page.name.replace("train", "train_cleaned")))
            assert (page.clean[..., 0] * 255 == twin).all()


def test_scans_without_a_test_folder_are_read(scans):
    (scans / "test" / "1.png").unlink()
    (scans / "test").rmdir()
    assert len(documents.read(scans)) == 5


@pytest.mark.parametrize("folder", ["train", "train_cleaned"])
def test_a_missing_twin_is_named(scans, folder):
    (scans / folder / "5.png").unlink()
    with pytest.raises(documents.DocumentError, match=rf"{folder}/5\.png .*No such file"):
        documents.read(scans)


def test_a_folder_without_scans_is_told_the_layout(tmp_path):
    with pytest.raises(documents.DocumentError, match=r"holds no scans\n.*train_cleaned/"):
        documents.read(tmp_path)


@pytest.mark.parametrize("folder", ["train", "train_cleaned"])
def test_twins_of_different_size_are_named(scans, folder):
    Image.new("L", (9, 6)).save(scans / folder / "8.png")
    with pytest.raises(documents.DocumentError, match=r"train/8\.png: .*\(6, 9, 1\)|train/8\.png: \(6, 9, 1\)"):
        documents.read(scans)


@pytest.mark.parametrize("where", ["train/5.png", "train_cleaned/5.png", "test/1.png"])
@pytest.mark.parametrize("damage", ["cut short", "no image", "empty"])
def test_a_damaged_file_is_named(scans, where, damage):
    content = (scans / where).read_bytes()
    (scans / where).write_bytes({"cut short": content[:-30], "no image": b"Dear reader", "empty": b""}[damage])
    with pytest.raises(documents.DocumentError, match=rf"{where} is no readable page: .*\n.*good PNG"):
        documents.read(scans)


def test_nothing_of_a_file_is_lost_in_silence(tmp_path):
    path, grey = tmp_path / "page.tif", Image.new("L", (3, 2))
    grey.save(path, save_all=True, append_images=[grey])
    with pytest.raises(documents.DocumentError, match="it holds several"):
        documents.read_page(path)
    Image.fromarray(np.full((3, 2), 40_000, "uint16")).save(path)
    with pytest.raises(documents.DocumentError, match="more than 8 bits"):
        documents.read_page(path)


def test_photographs_are_turned_upright_and_made_grey(tmp_path):
    exif, image = Image.Exif(), Image.new("RGB", (4, 2), (255, 0, 0))
    exif[0x0112] = 6  # the camera was held upright
    image.putpixel((0, 0), (255, 255, 255))
    image.save(tmp_path / "photo.png", exif=exif)
    page = documents.read_page(tmp_path / "photo.png")
    assert page.shape == (4, 2, 1) and page[0, 1, 0] == 255 and set(page.ravel()) == {76, 255}


@pytest.mark.parametrize("mode, ink", [("RGBA", (0, 0, 0)), ("LA", (0,)), ("P", None)])
def test_what_is_transparent_is_paper(tmp_path, mode, ink):
    """Drawing programs save ink on nothing: black, wholly transparent pixels around black ink."""
    if ink is None:
        image, options = Image.new("P", (3, 2), 1), {"transparency": 1}
        image.putpalette([0] * 6)
        image.putpixel((1, 0), 0)
    else:
        image, options = Image.new(mode, (3, 2), (*ink, 0)), {}
        image.putpixel((1, 0), (*ink, 255))
        image.putpixel((2, 0), (*ink, 51))
    image.save(tmp_path / "ink.png", **options)
    page = documents.read_page(tmp_path / "ink.png")[..., 0]
    assert page.tolist() == [[255, 0, 255 if ink is None else 204], [255, 255, 255]]


@pytest.mark.skipif(not SCANS.exists(), reason="needs the public scans: set AEBOOK_DATA_DIR")
def test_the_public_scans_hold_four_scans_of_each_clean_page():
    pages = documents.read(SCANS)
    assert np.bincount([page.group for page in pages if page.clean is not None]).tolist() == [4] * 28
    assert sum(page.clean is None for page in pages) == 72


# ---- patches


@pytest.mark.parametrize("size, overlap", [(16, 4), (16, 0), (15, 6), (128, 32)])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (12, 12), (16, 28), (31, 5), (100, 77)])
def test_an_identity_gives_the_page_back_bit_for_bit(shape, size, overlap):
    page = np.random.default_rng(0).random((*shape, 1), "float32")
    cleaned = documents.clean_page(lambda patches: patches, page, size, overlap)
    assert cleaned.dtype == page.dtype and cleaned.shape == page.shape and cleaned.tobytes() == page.tobytes()


def test_patches_lie_a_step_apart_on_the_page():
    page = np.arange(60 * 50).reshape(60, 50, 1)
    patches = documents.patches(page, 16, 4)
    assert patches.shape == (5, 5, 16, 16, 1)
    assert (patches[1, 2] == page[12 - 2 : 28 - 2, 24 - 2 : 40 - 2]).all()
    assert (patches[0, 0, 2:, 2:] == page[:14, :14]).all()
    assert (patches[0, 0, 1, 2:] == page[1, :14]).all() and (patches[0, 0, 0, 2:] == page[2, :14]).all()  # reflected


@pytest.mark.parametrize("shape", [(70, 90), (40, 33), (9, 200)])
def test_no_seam_shows_while_the_overlap_holds_what_a_filter_sees(shape):
    page = np.random.default_rng(0).random((*shape, 1), "float32")
    whole = uniform_filter(page[..., 0], 9, mode="mirror")

    def smooth(patches):
        return np.stack([uniform_filter(patch[..., 0], 9)[..., None] for patch in patches])

    assert documents.clean_page(smooth, page, 32, 8)[..., 0] == pytest.approx(whole, abs=1e-6)
    assert abs(documents.clean_page(smooth, page, 32, 2)[..., 0] - whole).max() > 0.05


def test_a_row_of_patches_is_the_most_that_is_predicted_at_once():
    shapes = []
    documents.clean_page(lambda patches: shapes.append(patches.shape) or patches, np.zeros((100, 50, 1)), 16, 4)
    assert shapes == [(5, 16, 16, 1)] * 9


def test_a_progress_bar_counts_the_rows(capsys):
    documents.clean_page(lambda patches: patches, np.zeros((100, 50, 1)), 16, 4)
    assert capsys.readouterr().err == ""
    documents.clean_page(lambda patches: patches, np.zeros((100, 50, 1)), 16, 4, title="page.png")
    assert "page.png:   0%|          | 0/9" in capsys.readouterr().err


@pytest.mark.parametrize("overlap", [3, 16, 20, -2])
def test_patches_that_do_not_fit_are_refused(overlap):
    with pytest.raises(ValueError, match=f"overlap={overlap} of patches with 16"):
        documents.clean_page(lambda patches: patches, np.zeros((40, 40, 1)), 16, overlap)


def test_answers_of_another_size_are_refused():
    for answer in (lambda patches: patches[:, ::2, ::2], lambda patches: patches.repeat(3, axis=-1)):
        with pytest.raises(ValueError):
            documents.clean_page(answer, np.zeros((40, 40, 1)), 16, 4)
