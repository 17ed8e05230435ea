"""Documents: what stands on a rendered page, what the reader refuses, and patches that leave no trace."""

import hashlib
import re
import struct
import unicodedata
import zlib
from functools import partial
from pathlib import Path

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


# Of the font's file, the same in the wheels of matplotlib 3.9.0, 3.9.4, 3.10.0, 3.10.8, 3.11.0 and 3.11.2.
FONT_FILES = {
    "DejaVuSans": "3fdf69cabf06049ea70a00b5919340e2ce1e6d02b0cc3c4b44fb6801bd1e0d22",
    "DejaVuSans-Bold": "b184b89e3c1075f22f6b71575b6fc20d4972b3cfd3b23322ca6fd596dcaef167",
    "DejaVuSans-Oblique": "ccdf74b350f11fd3dd5774de50e5e6346a1a5da1f5b7d5fb83590665e97a5213",
    "DejaVuSansMono": "602ec86b8948cfcd956482fe64f94c36c867770149ef2f791d4613f443bcecb3",
    "DejaVuSerif": "107244956e9962b9e96faccdc551825e0ae0898ae13737133e1b921a2fd35ffa",
    "DejaVuSerif-Italic": "3e7994fbc54fa10ce3352a42d548fadd7d9cadb69cb1109bc9d960f6dac57f04",
    "STIXGeneral": "167378031e2dddc6216d67819c9260e9a06ffc4c478e4e23cb98a6fd44b183c2",
    "STIXGeneralBol": "e8533dc7083fa346bda1933d60ea4a83b67d0945bceaf1b3541f82b4a0e2c6a0",
    "STIXGeneralItalic": "6cfcb333d22b7c3c623bdfd40174f14c85c3d6731ca6166c1edc80140eae8527",
    "cmr10": "4dd9761b058c009db9b2145f55ee6617d093c273dd3d6c5b3e43ff6110fa9bf6",
    "cmss10": "7df91a83d05b2e471ec638cb0b435a360a3c792b09fc42a7da67e91f2e79115a",
    "cmtt10": "6211f09ae93599991afda970c24669dad1a77e253d915624fbf212f702f071d7",
    "cmb10": "074497b50c43ea57597181591f9893d38fc12a87e95104f5657fc2481f61a23a",
}
# Of clean pages in seven fonts. Not of STIX, whose accents Pillow places anew since version 12.
DIGESTS = {
    0: ["f8730cf88c4de84c", "ac50a6646f788240"],
    2: ["ea9452208b96117c", "1a89f090a1b7ed0e"],
    4: ["37cbd4680247de93", "bcb0ef6bb77239c1"],
}


def test_fonts_are_the_files_that_every_matplotlib_of_the_range_holds():
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    files = {name: hashlib.sha256((folder / f"{name}.ttf").read_bytes()).hexdigest() for name in FONT_FILES}
    assert files == FONT_FILES and set(FONT_FILES) == {*documents.FONTS, *documents.TEX_FONTS}


@pytest.mark.parametrize("seed", DIGESTS)
def test_a_drawn_page_is_the_same_on_every_machine(seed):
    """Measured with Pillow 10.3, 11.3, 12.0 and 13.0, and with NumPy 1.26 and 2.4."""
    pages = [documents.to_bytes(page.clean) for page in documents.draw(2, seed)[::4]]
    assert [hashlib.sha256(page.tobytes()).hexdigest()[:16] for page in pages] == DIGESTS[seed]


def test_a_missing_font_is_named(monkeypatch):
    monkeypatch.setattr(documents, "FONTS", ["Absent"])
    monkeypatch.setattr(documents, "TEX_FONTS", [])
    with pytest.raises(documents.DocumentError, match=r"Absent\.ttf is missing or damaged(?s:.*)pip install"):
        documents.draw(1)


def test_the_true_text_stands_on_the_page_uncut(monkeypatch):
    """Each line, written alone where there is room, takes the ink that the page shows."""
    fonts, load = [], ImageFont.truetype
    monkeypatch.setattr(ImageFont, "truetype", lambda *a, **how: fonts.append(load(*a, **how)) or fonts[-1])
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
    with pytest.raises(documents.DocumentError, match=r"holds no scans\n  found: nothing\n.*train_cleaned/"):
        documents.read(tmp_path)
    (tmp_path / "1.png").touch()
    (tmp_path / "Thumbs").mkdir()
    with pytest.raises(documents.DocumentError, match=r"found: 1\.png, Thumbs/\n"):
        documents.read(tmp_path)
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "1.heic").touch()
    with pytest.raises(documents.DocumentError, match=r"found: train/1\.heic\n"):
        documents.read(tmp_path)
    with pytest.raises(documents.DocumentError, match=r"absent holds no scans\n  found: no such folder"):
        documents.read(tmp_path / "absent")


def test_case_suffix_and_the_way_accents_are_stored_do_not_matter(scans):
    (scans / "train" / "2.png").rename(scans / "train" / "2.PNG")
    Image.open(scans / "train" / "5.png").save(scans / "train" / "Größe 5.TIF")
    (scans / "train" / "5.png").unlink()
    (scans / "train_cleaned" / "5.png").rename(scans / "train_cleaned" / "gro\u0308ße 5.png")
    (scans / "test" / "1.png").rename(scans / "test" / "1.Png")
    (scans / "train" / "Thumbs.db").write_bytes(b"what some systems leave")
    (scans / "train" / "more.png").mkdir()
    pages = documents.read(scans)
    names = {"train/2.PNG", "train/Größe 5.TIF", "train/8.png", "train/11.png", "train/14.png", "test/1.Png"}
    assert {page.name for page in pages} == names
    assert len({page.group for page in pages} - {-1}) == 3


def test_two_scans_of_one_name_are_refused(scans):
    (scans / "train" / "2.jpg").write_bytes((scans / "train" / "2.png").read_bytes())
    with pytest.raises(documents.DocumentError, match=r"2\.jpg and 2\.png differ only in case or suffix\n.*Rename"):
        documents.read(scans)


def test_what_was_skipped_is_named_where_a_twin_is_missing(scans):
    (scans / "train_cleaned" / "5.png").rename(scans / "train_cleaned" / "5.heic")
    with pytest.raises(documents.DocumentError, match=r"(?s)train_cleaned/5\.png .*skipped: .*train_cleaned/5\.heic\n"):
        documents.read(scans)


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


def refusal(path):
    with pytest.raises(documents.DocumentError) as refused:
        documents.read_page(path)
    message = str(refused.value)
    assert message.startswith(f"{path} is no readable page: ") and len(message.splitlines()) == 2
    return message


@pytest.mark.parametrize("format", ["TIFF", "GIF", "PNG", "WEBP"])
def test_a_file_of_several_pages_is_told_to_be_split(tmp_path, format):
    path, grey = tmp_path / "page.tif", Image.new("L", (3, 2))
    grey.save(path, format, save_all=True, append_images=[Image.new("L", (3, 2), 255)])
    assert "it holds 2 pages, expected one\n  Write each" in refusal(path)


def test_the_small_copies_that_some_cameras_add_are_no_pages(tmp_path):
    photo = Image.new("L", (40, 20), 77)
    photo.save(tmp_path / "photo.jpg", "MPO", save_all=True, append_images=[Image.new("L", (4, 2))])
    page = documents.read_page(tmp_path / "photo.jpg")
    assert page.shape == (20, 40, 1) and (page == 77).all()


@pytest.mark.parametrize(
    "type, what", [("uint16", "16 or more bits"), ("int32", "16 or more"), ("float32", "floating")]
)
def test_more_than_eight_bits_are_refused_with_the_remedy(tmp_path, type, what):
    Image.fromarray(np.full((3, 2), 40_000, type)).save(tmp_path / "page.tif")
    message = refusal(tmp_path / "page.tif")
    assert what in message and "-depth 8" in message


def test_what_is_no_picture_is_told_the_way_to_one(tmp_path):
    kinds = {
        b"%PDF-1.7\n": r"a PDF\n.*pdftoppm",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n": r"PostScript, a program, which is not run\n.*PNG",
        b"\xc5\xd0\xd3\xc6" + bytes(26) + b"%!PS": r"PostScript, a program",
        b"AT&TFORM\0\0\0\0DJVM": r"a DjVu file\n.*ddjvu",
        b"\0\0\0\x18ftypheic": r"a photo in the format HEIC or AVIF\n.*JPEG",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>": r"damaged or cut short .*\n.*good PNG",
        b"": r"it is empty\n.*good PNG",
    }
    for content, expected in kinds.items():
        (tmp_path / "page.png").write_bytes(content)  # the name does not count
        assert re.search(expected, refusal(tmp_path / "page.png"))


def test_postscript_is_never_given_to_a_program_that_runs_it(tmp_path, monkeypatch):
    from PIL import EpsImagePlugin

    def never(*arguments, **options):
        raise AssertionError("the program in the file would have been run")

    Image.new("L", (4, 4)).save(tmp_path / "page.eps")
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", never)
    (tmp_path / "page.png").write_bytes((tmp_path / "page.eps").read_bytes())
    assert "not run" in refusal(tmp_path / "page.png") and "not run" in refusal(tmp_path / "page.eps")


def png(width, height):
    """The beginning of a grey PNG file of that size, and an empty body."""
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    )
    chunks = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_a_page_of_too_many_pixels_is_told_what_to_do(tmp_path, recwarn):
    (tmp_path / "page.png").write_bytes(png(18_000, 15_500))
    message = refusal(tmp_path / "page.png")
    assert "more than 178 million pixels\n  Scan with a lower resolution" in message and "DOS" not in message
    (tmp_path / "page.png").write_bytes(png(10_000, 9_000))  # read without a warning, were it whole
    assert "cut short" in refusal(tmp_path / "page.png") and not recwarn


def test_folders_missing_files_and_odd_names_are_named(tmp_path):
    assert "it is a folder" in refusal(tmp_path)
    for name in ("absent.png", "x" * 300 + ".png"):
        assert "No such file\n  Look at the spelling" in refusal(tmp_path / name)


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


@pytest.mark.parametrize(
    "shape, remedy",
    {
        (5, 9): r"write page\[\.\.\., None\]",
        (5, 9, 3): 'convert\\("L"\\)',
        (5, 9, 4): "make colours grey",
        (2, 5, 9, 1): "one after the other",
        (0, 9, 1): "is empty",
        (): "one after the other|empty",
    }.items(),
)
def test_only_a_grey_page_is_cut_into_patches(shape, remedy):
    for function in (documents.patches, partial(documents.clean_page, lambda patches: patches)):
        with pytest.raises(
            ValueError, match=rf"shape {re.escape(str(shape))}, expected \(height, width, 1\).*({remedy})"
        ):
            function(np.zeros(shape, "float32"))


@pytest.mark.parametrize("type", ["uint8", "uint16", "int64", "bool"])
def test_bytes_are_refused_where_numbers_between_0_and_1_are_meant(type):
    page = np.ones((5, 9, 1), type)
    for function in (documents.to_bytes, partial(documents.clean_page, lambda patches: patches)):
        with pytest.raises(ValueError, match=rf"holds {type}, but .* Divide bytes by documents\.WHITE"):
            function(page)


def test_what_is_no_number_or_no_grey_is_refused():
    page = np.full((5, 9, 1), 0.5, "float32")
    page[2, 3] = np.nan
    for function in (documents.to_bytes, partial(documents.clean_page, lambda patches: patches)):
        with pytest.raises(ValueError, match=r"1 of the page's 45 pixels are not a number \(NaN\)"):
            function(page)
    for value in (-0.5, 1.5, 255, np.inf):
        page[2, 3] = value
        with pytest.raises(ValueError, match=r"lie between .*, expected 0 \(ink\) to 1 \(paper\)"):
            documents.clean_page(lambda patches: patches, page)


@pytest.mark.parametrize("type", ["float16", "float32", "float64"])
def test_a_page_of_bytes_comes_back_from_numbers_between_0_and_1(type):
    page = np.arange(256, dtype="uint8").reshape(16, 16, 1)
    assert (documents.to_bytes((page / documents.WHITE).astype(type)) == page).all()
    assert documents.to_bytes(np.array([-1, 2, np.inf], type)).tolist() == [0, 255, 255]
    assert documents.clean_page(lambda patches: patches, (page / documents.WHITE).astype(type)).dtype == type


@pytest.mark.parametrize("overlap", [3, 16, 20, -2])
def test_patches_that_do_not_fit_are_refused(overlap):
    with pytest.raises(ValueError, match=f"overlap={overlap} of patches with 16"):
        documents.clean_page(lambda patches: patches, np.zeros((40, 40, 1)), 16, overlap)


def test_answers_of_another_size_are_refused():
    for answer in (lambda patches: patches[:, ::2, ::2], lambda patches: patches.repeat(3, axis=-1)):
        with pytest.raises(
            ValueError, match=r"answer to patches of shape \(4, 16, 16, 1\) has shape .*expected the same"
        ):
            documents.clean_page(answer, np.zeros((40, 40, 1)), 16, 4)
