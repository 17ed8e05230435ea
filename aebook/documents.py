"""Pages of text and their dirty scans, rendered or read from a folder; cleaning a page of any size patch by patch.

A page is float32 (height, width, 1) in [0, 1]: 1 white paper, 0 black ink, in 256 greys as a scanner gives them.
Rendered pages hold real words in random order under four kinds of dirt, like the public scans (NoisyOffice,
Castro-Bleda et al. 2019), and come with their true text, so that an OCR engine can be scored on them.
"""

import os
import textwrap
import unicodedata
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps
from scipy.interpolate import LinearNDInterpolator
from scipy.ndimage import gaussian_filter
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

WHITE = np.float32(255)  # of a page in bytes
LAYOUT = "Scans lie in train/*.png, clean twins of the same names and sizes in train_cleaned/, others in test/."
# What is read, told by the contents of a file. Pillow knows more, but PostScript, for one, is a program to be run.
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "PPM", "JPEG2000")
# Names of files in a folder that are meant as pages end so.
SUFFIXES = {".png", ".jpg", ".jpeg", ".jfif", ".tif", ".tiff", ".bmp", ".webp", ".gif"}
SUFFIXES |= {".pgm", ".pbm", ".ppm", ".pnm", ".jp2"}
SPLIT = "Write each of its pages into a file of its own, for example by `magick pages.tif page-%d.png`."
DEPTH = "Save it with 8 bits a pixel, for example by `magick page.tif -depth 8 page.png`."
PDF = "a PDF", "Make pictures of its pages, for example by `pdftoppm -gray -r 300 -png pages.pdf page`."
DJVU = "a DjVu file", "Make a picture of a page, for example by `ddjvu -format=tiff -page=1 pages.djvu page.tif`."
POSTSCRIPT = "PostScript, a program, which is not run", "Save the page as PNG in the program that wrote it."
PHOTO = "a photo in the format HEIC or AVIF", "Save it as JPEG or PNG on the telephone that took it."
OTHERS = {  # what files that are no pictures hold near their beginning: what they are, and the way to a picture
    b"%PDF": PDF,
    b"AT&TFORM": DJVU,
    b"%!PS": POSTSCRIPT,
    b"\xc5\xd0\xd3\xc6": POSTSCRIPT,  # with a preview
    b"ftyphei": PHOTO,
    b"ftypmif1": PHOTO,
    b"ftypavif": PHOTO,
}
SIZES = ((258, 540), (420, 540))  # height and width of the public scans
WORDS = {
    "English": "After every frozen garden, the known lamp; a letter of just which neighbour? Quick, quiet (seven) "
    "shadows grow: yellow zinc should be very thin paper. Windows open 26 times; June 1948 cost 3.07! My box of keys?",
    "German and French": "Über Größe, jeder Maß; zwölf Vögel öffnen (schön) 1607. Après l'été: où ça? Vieux château!",
    "Greek": "Άνεμος, βιβλίο και γέφυρα; Ζωή στο δρόμο: ξύλο, χαρτί, ψωμί. Ήλιος (φως) ύπνος θάλασσα ώρα 1837 λόγους!",
    "Russian": "Вечер, жёлтый дождь; ещё объём книг. Юг и цвет: эхо (тишина) шаг, щука, хлеб! Фонарь мой съезд? 1905",
}
FONTS = ["DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSerif", "DejaVuSerif-Italic"]
FONTS += ["STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic"]
TEX_FONTS = ["cmr10", "cmss10", "cmtt10", "cmb10"]  # without accents


class DocumentError(RuntimeError):
    """A scan is missing, unreadable or unlike its clean twin; the message says which, what was expected, what to do."""


@dataclass(frozen=True)
class Page:
    """A dirty page and its clean twin, both (h, w, 1) float32 in [0, 1].

    clean: None for a scan without a twin. text: the true text, "" if unknown. group: number of the clean page, the same
    for all its scans, -1 without a twin. name: what to call the page in a table.
    """

    noisy: np.ndarray
    clean: np.ndarray | None
    text: str
    group: int
    name: str


def split(pages: list[Page], held_out: int, seed: int = 0) -> tuple[list[Page], list[Page]]:
    """Hold out that many clean pages with all their scans: (the rest, the held out).

    By clean page, never by file: who saw a text under one kind of dirt knows it under the next. Pages without a twin
    stay with the rest. Raises ValueError unless 0 < held_out < number of clean pages.
    Taught in chapter 07.
    """
    groups = sorted({page.group for page in pages} - {-1})
    if not 0 < held_out < len(groups):
        raise ValueError(f"held_out={held_out} of {len(groups)} clean pages")
    away = set(np.random.default_rng(seed).permutation(groups)[:held_out].tolist())
    return [page for page in pages if page.group not in away], [page for page in pages if page.group in away]


def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """A font of matplotlib's, each the same file in every version since 3.9, size in pixels.

    The basic layout needs no library beside Pillow, so that pages do not depend on what is installed.
    """
    from matplotlib import get_data_path

    path = Path(get_data_path(), "fonts", "ttf", f"{name}.ttf")
    try:
        return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)
    except OSError as error:
        raise DocumentError(
            f"the font {path} is missing or damaged: {error}\n  It comes with matplotlib 3.9 and later. "
            "Install that again: python -m pip install --force-reinstall --no-deps matplotlib"
        ) from error


def _typeset(random: np.random.Generator, size: tuple[int, int], language: str) -> tuple[np.ndarray, str]:
    """A clean page (h, w) and its text."""
    name = random.choice(FONTS + TEX_FONTS * (language == "English"))
    font = _font(name, int(random.integers(14, 33)))
    left, pitch, pool = int(random.integers(8, 40)), random.uniform(1.15, 1.4) * font.size, WORDS[language]
    letters = 0.9 * (size[1] - 2 * left) * len(pool) / font.getlength(pool)
    words = " ".join(random.choice(pool.split(), size[0] * size[1] // 400))
    lines = textwrap.wrap(words, max(int(letters), 1))[: int(size[0] / pitch)]
    image = Image.new("L", size[::-1], 255)
    for i, line in enumerate(lines):
        ImageDraw.Draw(image).text((left, int(i * pitch)), line, font=font)
    clean = gaussian_filter(np.asarray(image, "float32") / WHITE, random.uniform(0, 0.55))
    return to_bytes(clean) / WHITE, "\n".join(lines)


def _field(random: np.random.Generator, size: tuple[int, ...], scale: float) -> np.ndarray:
    """Smooth noise (h, w) of unit variance with bumps `scale` pixels wide."""
    coarse = gaussian_filter(random.standard_normal([int(2 * side / scale) + 9 for side in size], "float32"), 1)
    return np.asarray(Image.fromarray(coarse / coarse.std()).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def _around(random: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
    """Pixels (h, w) as complex numbers, seen from a random place in a random direction and slightly bent."""
    y, x = np.indices(size, "float32")
    place = complex(random.uniform(0, size[1]), random.uniform(0, size[0]))
    return (x + 1j * y - place) * 1j ** random.uniform(0, 4) + 3 * _field(random, size, 60)


def _creased(random: np.random.Generator, back: np.ndarray, facet: float, depth: float) -> np.ndarray:
    """Paper once crumpled: random heights joined by triangles, lit from a side, their edges worn."""
    around, height, reach = _around(random, back.shape), 0, sum(back.shape)
    for side in (facet, facet / 2.5):
        points = random.uniform(-reach, reach, (9 + int((2 * reach / side) ** 2), 2))
        height += LinearNDInterpolator(points, side * random.standard_normal(len(points)), 0)(around.real, around.imag)
    slope, worn = np.gradient(gaussian_filter(height, 1), axis=random.integers(2)), height - gaussian_filter(height, 2)
    return 1 + depth * np.tanh(0.3 * slope + random.uniform(0, 0.4) * worn)


def _folds(random: np.random.Generator, back: np.ndarray) -> np.ndarray:
    return _creased(random, back, random.uniform(150, 300), 0.08)


def _wrinkles(random: np.random.Generator, back: np.ndarray) -> np.ndarray:
    return _creased(random, back, random.uniform(40, 90), 0.2)


def _stains(random: np.random.Generator, back: np.ndarray) -> np.ndarray:
    shade = np.ones_like(back)
    for strength, reach in random.uniform([0.1, 6], [0.6, 18], (random.integers(3, 8), 2)).tolist():
        away = abs(_around(random, back.shape)) - random.choice([random.uniform(3, 40), random.uniform(80, 160)])
        width = reach * np.clip(0.5 + _field(random, back.shape, 100), 0, 2)
        shade *= 1 - strength * np.clip((width - abs(away + width)) / 1.5, 0, 0.9 + 0.1 * _field(random, back.shape, 8))
    return shade


def _bleed_through(random: np.random.Generator, back: np.ndarray) -> np.ndarray:
    size, zoom = np.array(back.shape[::-1]), random.uniform(1, 4)
    corner = random.uniform(0, size - size / zoom)
    back = np.asarray(Image.fromarray(back[:, ::-1]).resize(size, box=(*corner, *(corner + size / zoom))))
    return random.uniform(0.92, 1) - random.uniform(0.06, 0.3) * gaussian_filter(1 - back, random.uniform(0.8, 2.5))


KINDS = {"folds": _folds, "wrinkles": _wrinkles, "stains": _stains, "bleed-through": _bleed_through}


def _dirty(random: np.random.Generator, clean: np.ndarray, shade: np.ndarray) -> np.ndarray:
    """The scan of a clean page (h, w) on paper of that shade: blurred, in uneven light, with grain; ink may shine."""
    strength, soft = random.choice([0, 0, 0, 0, 0.2 * random.random()]), random.uniform(8, 99)
    shadow = strength * (1 + np.tanh(_around(random, clean.shape).real / soft))
    light = random.uniform(0.85, 0.93) + 0.02 * _field(random, clean.shape, 200) - shadow
    grain = 0.012 * random.standard_normal(clean.shape, "float32") + 0.007 * _field(random, clean.shape, 4)
    paper = np.clip(shade * light + grain, 0, 1)
    ink = random.uniform(0, 0.1) + random.uniform(0, 1.6) * paper**2 * (1 - paper)
    clean = gaussian_filter(clean, max(0.0, random.uniform(-0.8, 0.7)))
    return clean * paper + (1 - clean) * ink


@threadpool_limits.wrap(limits=1)  # thousands of tiny systems: on a busy machine threads only wait for each other
def draw(n: int, seed: int = 0, size: tuple[int, int] | None = None) -> list[Page]:
    """Render n clean pages, each under every kind of dirt in `KINDS`: 4 n pages, the four of a clean page in a row.

    size: (height, width) in pixels; None alternates the two of the public scans. Languages take turns.
    Page i depends on seed and i alone: the same seed gives the same pages, whatever n is. The fonts are the same files
    in every matplotlib since 3.9. Before Pillow 12 a few accents in three of them, the STIX ones, lie up to a pixel
    higher or lower, and other versions of NumPy and SciPy may round a few pixels of the dirt to the next grey.
    Raises ValueError when seed is negative, and DocumentError when one of matplotlib's fonts is missing.
    Taught in chapter 07.
    """
    pages = []
    for i in range(n):
        random, shape, language = np.random.default_rng([seed, i]), size or SIZES[(i + i // 4) % 2], list(WORDS)[i % 4]
        (clean, text), (back, _) = (_typeset(random, shape, language) for _ in "ab")
        for kind, shade in KINDS.items():
            noisy = to_bytes(_dirty(random, clean, shade(random, back))) / WHITE
            pages.append(Page(noisy[..., None], clean[..., None], text, i, f"{i + 1}: {kind}, {language}"))
    return pages


def to_bytes(page: np.ndarray) -> np.ndarray:
    """Round a page in [0, 1] to the 256 greys of an image file, uint8, same shape; what lies outside becomes 0 or 255.

    Raises ValueError for bytes or other integers, which are no page in [0, 1], and for values that are not a number.
    Taught in chapter 07.
    """
    page = _require_floats(page, "to_bytes")
    return np.rint(255 * np.clip(page.astype(np.result_type(page, np.float32)), 0, 1)).astype("uint8")


def _require_floats(page: np.ndarray, who: str) -> np.ndarray:
    """The page as an array. Raises ValueError unless it holds floating-point numbers and no NaN."""
    page = np.asarray(page)
    if page.dtype.kind != "f":
        raise ValueError(
            f"{who}: the page holds {page.dtype}, but a page is float32 in [0, 1], 1 white. Divide bytes by "
            "documents.WHITE, which is 255, as in read_page(path) / documents.WHITE."
        )
    if np.isnan(page).any():
        raise ValueError(
            f"{who}: {np.isnan(page).sum():,} of the page's {page.size:,} pixels are not a number (NaN). Look at what "
            "made the page: a division by zero, or a model whose training diverged."
        )
    return page


def read_page(path: str | Path) -> np.ndarray:
    """Read an image file as a grey page of bytes (h, w, 1), upright as a camera noted it; what is transparent is paper.

    Divided by `WHITE` it is a page in [0, 1], as the other functions take it. The contents of the file, not its name,
    tell its format, which must be one of `FORMATS`.
    Raises DocumentError with the remedy for a file that is missing, damaged, another kind of document, has more than
    2 * PIL.Image.MAX_IMAGE_PIXELS pixels, or holds several pages or more than 8 bits a pixel.
    Taught in chapter 07.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # large, but still below the limit
            with Image.open(path, formats=FORMATS) as file:
                return _grey(file, path)
    except DocumentError:
        raise
    except Exception as error:  # decoders raise whatever they like on a damaged file
        raise DocumentError(f"{path} is no readable page: {_unreadable(Path(path), error)}") from error


def _grey(file: Image.Image, path: str | Path) -> np.ndarray:
    """The opened picture as bytes (h, w, 1). Raises DocumentError where grey bytes would lose something of it."""
    n_pages = 1 if file.format == "MPO" else getattr(file, "n_frames", 1)  # some cameras add small copies
    if n_pages > 1:
        raise DocumentError(f"{path} is no readable page: it holds {n_pages} pages, expected one\n  {SPLIT}")
    if file.mode[0] in "IF":
        kind = "16 or more bits a pixel" if file.mode[0] == "I" else "floating-point numbers"
        raise DocumentError(f"{path} is no readable page: it holds {kind}, expected at most 8 bits\n  {DEPTH}")
    image: Image.Image = ImageOps.exif_transpose(file)
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return np.asarray(image.convert("L"))[..., None]


def _unreadable(path: Path, error: Exception) -> str:
    """Why a file is no page, and the remedy."""
    if isinstance(error, Image.DecompressionBombError):
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        return f"it has more than {most} million pixels\n  Scan with a lower resolution, or cut the page into parts."
    if os.path.isdir(path):
        return "it is a folder\n  Name a picture, or the folder alone."
    if not os.path.exists(path):  # a name that no file can have is no error here
        return "No such file\n  Look at the spelling, and at the folder that Python runs in."
    if isinstance(error, PermissionError):
        return "it may not be read\n  Change its permissions."
    with path.open("rb") as file:
        start = file.read(1024)
    return _unlike_a_picture(start) or (
        f"it is damaged or cut short ({error})\n  Put a good PNG, JPEG or TIFF there: copy or scan it again."
    )


def _unlike_a_picture(start: bytes) -> str:
    """What a file is, from its first bytes, and the remedy; "" for what begins like a picture that is read here."""
    if not start:
        return "it is empty\n  Put a good PNG, JPEG or TIFF there: copy or scan it again."
    for mark, (kind, remedy) in OTHERS.items():
        if mark in start:
            return f"it is {kind}\n  {remedy}"
    return ""


def _by_name(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """The pictures in a folder by their names without suffix and case, and the names of all else that it holds."""
    found, skipped = dict[str, Path](), []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        name = unicodedata.normalize("NFC", path.stem).casefold()
        if not is_picture(path):
            skipped.append(f"{folder.name}/{path.name}")
        elif name in found:
            both = f"{found[name]} and {path.name}"
            raise DocumentError(f"{both} differ only in case or suffix\n  Rename one of them and its twin.")
        else:
            found[name] = path
    return found, skipped


def is_picture(path: Path) -> bool:
    """Tell, by its name alone, whether a file in a folder is meant as a page; hidden files are not.

    Taught in chapter 07.
    """
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and not path.is_dir()


def read(folder: str | Path) -> list[Page]:
    """Read scans in the public layout: `train/*.png`, twins of the same name in `train_cleaned/`, others in `test/`.

    Case and suffix of a name do not matter, and the other formats that `read_page` reads will do. Pages whose clean
    twins are equal form a group. Scans from `test/`, at the end, have no twin. The public scans show 28 texts on seven
    dirty sheets a size: to hold out a text is not to hold out its dirt.
    Raises DocumentError for a folder without scans, a missing twin, and an unreadable or mismatched file; it names the
    files that were skipped, since they are no pictures by their names.
    Taught in chapter 07.
    """
    root = Path(folder)
    (scans, skipped), (twins, more) = _by_name(root / "train"), _by_name(root / "train_cleaned")
    if not scans and not twins:
        raise DocumentError(f"{folder} holds no scans\n  found: {_found(root, skipped + more)}\n  {LAYOUT}")
    for part, here, there in (("train_cleaned", scans, twins), ("train", twins, scans)):
        if lonely := sorted(here.keys() - there.keys()):
            raise DocumentError(_without_twin(root / part, here[lonely[0]], skipped + more))
    pages, known = [], dict[bytes, tuple[int, np.ndarray]]()
    for name, path in scans.items():
        noisy, clean = read_page(path) / WHITE, read_page(twins[name]) / WHITE
        if noisy.shape != clean.shape:
            raise DocumentError(f"{path}: {noisy.shape}, its twin: {clean.shape}\n  {LAYOUT}")
        group, clean = known.setdefault(clean.tobytes(), (len(known), clean))
        pages.append(Page(noisy, clean, "", group, f"train/{path.name}"))
    test = _by_name(root / "test")[0].values()
    return pages + [Page(read_page(path) / WHITE, None, "", -1, f"test/{path.name}") for path in test]


def _found(root: Path, skipped: list[str]) -> str:
    """What stands in a folder, for a message."""
    if not root.is_dir():
        return "no such folder"
    names = skipped or [path.name + "/" * path.is_dir() for path in sorted(root.iterdir())]
    return textwrap.shorten(", ".join(names) or "nothing", 300, placeholder=" …")


def _without_twin(folder: Path, here: Path, skipped: list[str]) -> str:
    """The message for a page whose twin, of the same name, is not in that folder."""
    passed_over = f"\n  skipped: {', '.join(skipped)}" if skipped else ""
    return f"{folder / here.name} is no readable page: No such file, the twin of {here}{passed_over}\n  {LAYOUT}"


def patches(page: np.ndarray, size: int = 128, overlap: int = 32) -> np.ndarray:
    """View a page (h, w, 1) as overlapping square patches, (down, across, size, size, 1); its edges are reflected.

    Raises ValueError unless overlap is even and 0 <= overlap < size, and for an array of another shape.
    Taught in chapter 07.
    """
    if page.ndim != 3 or page.shape[2] != 1 or not page.size:
        raise ValueError(f"the page has shape {page.shape}, expected (height, width, 1){_to_page(page)}")
    if overlap % 2 or not 0 <= overlap < size:
        raise ValueError(f"overlap={overlap} of patches with {size} pixels a side; choose an even one below the size")
    step, margin = size - overlap, overlap // 2
    padded = np.pad(page, [(margin, margin + -side % step) for side in page.shape[:2]] + [(0, 0)], "reflect")
    return np.lib.stride_tricks.sliding_window_view(padded, (size, size, 1))[::step, ::step, 0]


def _to_page(page: np.ndarray) -> str:
    """What makes a page of an array of another shape."""
    if not page.size:
        return ". It is empty."
    if page.ndim == 2:
        return "; write page[..., None]."
    if page.ndim == 3:
        return '; make colours grey first, by PIL\'s Image.convert("L") or page.mean(axis=2, keepdims=True).'
    return "; give the pages one after the other."


def _predicted(predict: Callable, row: np.ndarray) -> np.ndarray:
    """What predict answers to a row of patches. Raises ValueError when the answer has another shape."""
    answer = np.asarray(predict(row))
    if answer.shape != row.shape:
        raise ValueError(
            f"the answer to patches of shape {row.shape} has shape {answer.shape}, expected the same. A model whose "
            "strides halve a patch must double it as often, and return one channel."
        )
    return answer


def clean_page(predict: Callable, page: np.ndarray, size: int = 256, overlap: int = 64, title: str = "") -> np.ndarray:
    """Clean a page (h, w, 1) of any size patch by patch, of each of which only the middle is kept.

    predict: (n, size, size, 1) -> the same shape; it gets a row of patches at a time, so that memory stays bounded.
    title: of a progress bar; none without. An identity gives the page back bit for bit. No seam shows if a pixel's
    answer depends on its surroundings up to overlap / 2 pixels away.
    Raises ValueError for a page of another shape, of bytes, or with pixels outside [0, 1]; unless overlap is even and
    0 <= overlap < size; and for predictions of another shape.
    Taught in chapter 07.
    """
    page = _require_floats(page, "clean_page")
    if page.size and not (page.min() >= 0 and page.max() <= 1):
        raise ValueError(
            f"clean_page: the page's pixels lie between {page.min():.4g} and {page.max():.4g}, expected 0 (ink) to 1 "
            "(paper). Divide bytes by documents.WHITE, or cut off what lies outside by np.clip(page, 0, 1)."
        )
    inside, rows = slice(overlap // 2, size - overlap // 2), patches(page, size, overlap)
    bar = tqdm(rows, title, leave=False, disable=not title)
    middles = [_predicted(predict, row)[:, inside, inside].swapaxes(0, 1) for row in bar]
    return np.concatenate(middles).reshape(len(rows) * (size - overlap), -1, 1)[: page.shape[0], : page.shape[1]]
