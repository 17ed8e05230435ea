"""Pages of text and their dirty scans, rendered or read from a folder; cleaning a page of any size patch by patch.

A page is float32 (height, width, 1) in [0, 1]: 1 white paper, 0 black ink, in 256 greys as a scanner gives them.
Rendered pages hold real words in random order under four kinds of dirt, like the public scans (NoisyOffice,
Castro-Bleda et al. 2019), and come with their true text, so that an OCR engine can be scored on them.
"""

import textwrap
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
TEX_FONTS = ["cmr10", "cmss10", "cmti10", "cmtt10", "cmb10"]  # without accents


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


def _typeset(random: np.random.Generator, size: tuple[int, int], language: str) -> tuple[np.ndarray, str]:
    """A clean page (h, w) and its text."""
    from matplotlib import get_data_path  # ships the fonts

    font = random.choice(FONTS + TEX_FONTS * (language == "English"))
    font = ImageFont.truetype(f"{get_data_path()}/fonts/ttf/{font}.ttf", int(random.integers(14, 33)))
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
    Page i depends on seed and i alone: the same seed gives the same bytes, whatever n is.
    Raises ValueError when seed is negative.
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
    """Round a page in [0, 1] to the 256 greys of an image file, uint8, same shape."""
    return np.rint(255 * np.clip(page, 0, 1)).astype("uint8")


def read_page(path: str | Path) -> np.ndarray:
    """Read an image file as a grey page of bytes (h, w, 1), upright as a camera noted it; what is transparent is paper.

    Raises DocumentError for a file that is missing, no readable image, or holds several pages or more than 8 bits.
    """
    try:
        with Image.open(path) as file:
            if getattr(file, "n_frames", 1) > 1 or file.mode[0] in "IF":
                raise ValueError("it holds several, or more than 8 bits a pixel")
            image: Image.Image = ImageOps.exif_transpose(file)
            if image.has_transparency_data:
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
            return np.asarray(image.convert("L"))[..., None]
    except Exception as error:  # decoders raise whatever they like on a damaged file
        raise DocumentError(f"{path} is no readable page: {error}\n  Put a good PNG, JPEG or TIFF there.") from error


def read(folder: str | Path) -> list[Page]:
    """Read scans in the public layout: `train/*.png`, twins of the same name in `train_cleaned/`, others in `test/`.

    Pages whose clean twins are equal form a group. Scans from `test/`, at the end, have no twin. The public scans show
    28 texts on seven dirty sheets a size: to hold out a text is not to hold out its dirt.
    Raises DocumentError for a folder without scans, a missing twin, and an unreadable or mismatched file.
    Taught in chapter 07.
    """
    root, parts = Path(folder), ("train", "train_cleaned")
    names = sorted({path.name for part in parts for path in (root / part).glob("[!.]*.png")})
    if not names:
        raise DocumentError(f"{folder} holds no scans\n  {LAYOUT}")
    pages, known = [], dict[bytes, tuple[int, np.ndarray]]()
    for name in names:
        noisy, clean = (read_page(root / part / name) / WHITE for part in parts)
        if noisy.shape != clean.shape:
            raise DocumentError(f"{root / 'train' / name}: {noisy.shape}, its twin: {clean.shape}\n  {LAYOUT}")
        group, clean = known.setdefault(clean.tobytes(), (len(known), clean))
        pages.append(Page(noisy, clean, "", group, f"train/{name}"))
    test = sorted((root / "test").glob("[!.]*.png"))
    return pages + [Page(read_page(path) / WHITE, None, "", -1, f"test/{path.name}") for path in test]


def patches(page: np.ndarray, size: int = 128, overlap: int = 32) -> np.ndarray:
    """View a page (h, w, 1) as overlapping square patches, (down, across, size, size, 1); its edges are reflected.

    Raises ValueError unless overlap is even and 0 <= overlap < size.
    Taught in chapter 07.
    """
    if overlap % 2 or not 0 <= overlap < size:
        raise ValueError(f"overlap={overlap} of patches with {size} pixels a side; choose an even one below the size")
    step, margin = size - overlap, overlap // 2
    padded = np.pad(page, [(margin, margin + -side % step) for side in page.shape[:2]] + [(0, 0)], "reflect")
    return np.lib.stride_tricks.sliding_window_view(padded, (size, size, 1))[::step, ::step, 0]


def clean_page(predict: Callable, page: np.ndarray, size: int = 256, overlap: int = 64, title: str = "") -> np.ndarray:
    """Clean a page (h, w, 1) of any size patch by patch, of each of which only the middle is kept.

    predict: (n, size, size, 1) -> the same shape; it gets a row of patches at a time, so that memory stays bounded.
    title: of a progress bar; none without. An identity gives the page back bit for bit. No seam shows if a pixel's
    answer depends on its surroundings up to overlap / 2 pixels away.
    Raises ValueError unless overlap is even and 0 <= overlap < size, and for predictions of another shape.
    Taught in chapter 07.
    """
    inside, rows = slice(overlap // 2, size - overlap // 2), patches(page, size, overlap)
    bar = tqdm(rows, title, leave=False, disable=not title)
    middles = [predict(row).reshape(row.shape)[:, inside, inside].swapaxes(0, 1) for row in bar]
    return np.concatenate(middles).reshape(len(rows) * (size - overlap), -1, 1)[: page.shape[0], : page.shape[1]]
