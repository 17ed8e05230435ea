"""Ten classes of clothing drawn from known factors: the offline stand-in for Fashion-MNIST.

A garment is a stack of painted shapes. A shape is a signed distance to its outline in pixels, positive inside, so that
distance + 0.5, clipped to [0, 1], is the part of a pixel it covers; the smallest of several distances is where the
shapes overlap. Outlines are straight-line profiles ("how wide at this height") and bars, for a whole batch at once.

An image follows from its label and nine independent factors in [0, 1] alone:

    sleeve   reach of the sleeves; flare of trousers; height of a heel or sole; handle of a bag
    length   how far down the hem reaches; height of a shoe or bag
    width    of the body; bulk of a shoe
    neck     depth of the neckline or lapels; size of another opening
    shade    grey of the fabric, dark to bright
    texture  contrast of weave, then of stripes as well
    pattern  place and kind of the stripes: across, checked, upright
    detail   print, seams, buttons, laces, straps, clasp
    tilt     turned from 4 degrees one way to 4 degrees the other
"""

from dataclasses import dataclass
from functools import reduce

import numpy as np

from aebook import arrays

Field = np.ndarray  # (n, 28, 28), or (n, 1, 1) where all pixels of an image share the value
Value = Field | float

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
FACTORS = ("sleeve", "length", "width", "neck", "shade", "texture", "pattern", "detail", "tilt")


def _curve(at: Field, *knots: tuple[Value, Value]) -> Field:
    """Straight lines through the knots (place, value), places increasing; constant beyond the first and the last."""
    place, value = knots[0]
    result = value + 0 * at
    for next_place, next_value in knots[1:]:
        result = result + (next_value - value) * np.clip((at - place) / (next_place - place), 0, 1)
        place, value = next_place, next_value
    return result


def _bar(x: Field, y: Field, start: tuple[Value, Value], end: tuple[Value, Value], radius: Value) -> Field:
    """A straight bar with flat ends from start to end, both (x, y); radius: half its width."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    size = np.hypot(dx, dy)
    along = ((x - start[0]) * dx + (y - start[1]) * dy) / size
    across = ((x - start[0]) * dy - (y - start[1]) * dx) / size
    return _overlap(radius - abs(across), size - along, along)


def _overlap(*shapes: Field) -> Field:
    return reduce(np.minimum, shapes)


@dataclass
class _Sheet:
    """A batch of drawings under way.

    x, y: pixel centres as the garment sees them, in pixels from its middle, x to the right, y down, (n, 28, 28).
    factors: (n, 9). grey: the drawings so far, (n, 28, 28).
    """

    x: Field
    y: Field
    factors: np.ndarray
    grey: Field

    def __call__(self, factor: str, low: float, high: float) -> Field:
        """The factor of that name, mapped from [0, 1] to [low, high], (n, 1, 1)."""
        return low + (high - low) * self.factors[:, FACTORS.index(factor), None, None]

    def paint(self, grey: Value, *shapes: Field) -> None:
        """Cover the shapes' overlap with a grey."""
        self.grey += np.clip(_overlap(*shapes) + 0.5, 0, 1) * (grey - self.grey)

    def shade(self, factor: Value, *shapes: Field) -> None:
        """Multiply what is drawn under the shapes' overlap: darker below 1, lighter above."""
        self.grey *= 1 + (factor - 1) * np.clip(_overlap(*shapes) + 0.5, 0, 1)

    def cloth(self) -> Field:
        """Grey of the fabric at every pixel: its shade with stripes, weave and folds."""
        angle, phase = self("pattern", 0, np.pi / 2), self("pattern", 0, 40)
        rows, columns = np.sin(self.y * (2 - angle) + phase), np.sin(self.x * (1 + angle / 2) + phase)
        stripes = np.tanh(1.5 * (np.cos(angle) * rows + np.sin(angle) * columns))
        weave = np.sin(2.5 * self.x + 1.1 * self.y + phase) * np.sin(2.3 * self.y - 0.7 * self.x + 2 * phase)
        folds = np.sin(0.55 * self.x + 0.25 * self.y + phase)
        bold = np.maximum(self("texture", -0.7, 0.35), 0)
        shade = 0.2 + 0.74 * self("shade", 0, 1) ** 0.6
        return shade * (1 + bold * stripes + self("texture", 0.03, 0.16) * weave + 0.06 * folds)


def _top(
    s: _Sheet, body: Field, hem: Value, reach: Value, arm: Value, depth: Value, collar: Value, shoulder: Value
) -> Field:
    """Paint a body with two sleeves and return the body's shape.

    body: its half-width at each height. hem: height of its lower edge. reach: of the sleeves, 0 none, 1 past the hip.
    arm: half-width of a sleeve. depth, collar: depth and half-width of the neckline. shoulder: half-width there.
    """
    across, cloth = abs(s.x), s.cloth()
    grown = np.minimum(8 * reach, 1)
    wrist = (shoulder + (4.8 - 2 * reach) * grown, -10.4 + (3.9 + 19.5 * reach) * grown)
    s.paint(1.08 * cloth, _bar(across, s.y, (shoulder - 0.6 * reach, -10.4), wrist, arm))
    neckline = -13.6 + depth * (1 - (across / collar) ** 2)
    slope = _curve(across, (collar, -13.6), (shoulder + 2.5, -10.6))
    s.paint(0.5 * cloth, collar - 0.5 - across, s.y + 13.4 - 0.4 * depth, neckline - s.y + 1)
    inside = _overlap(body - across, hem - s.y, s.y - np.maximum(slope, neckline))
    s.shade(0.75, inside + 1)
    s.paint(cloth * (1.04 - 0.14 * (across / body) ** 2), inside)
    s.shade(1.2, inside, 0.5 - abs(s.y - neckline - 0.8), collar - across)
    return inside


def _t_shirt(s: _Sheet) -> None:
    half = s("width", 5.6, 7.6)
    body = _curve(s.y, (-11, half + 0.8), (-5, half), (12, half + 0.3))
    sleeve, arm = s("sleeve", 0.05, 0.25), s("sleeve", 1.8, 2.9)
    inside = _top(s, body, s("length", 11.5, 14), sleeve, arm, s("neck", 1, 4.5), 3.8, half + 0.2)
    s.shade(1 - s("detail", 0, 0.5), inside, 2.6 - abs(s.y + 3.5), s("detail", -2, 4.2) - abs(s.x))


def _trouser(s: _Sheet) -> None:
    half, crotch, across = s("width", 4.6, 6.2), s("neck", -8, -4), abs(s.x)
    outer = _curve(s.y, (-13.5, half - 0.6), (-8, half), (13, half - 0.8 + s("sleeve", -0.4, 1.6)))
    gap = _curve(s.y, (crotch, -1), (crotch + 4, 0.6), (13, s("width", 2, 1)))
    inside = _overlap(outer - across, across - gap, s("length", 11, 14) - s.y)
    s.paint(s.cloth() * (1.1 - 0.2 * (2 * across / half - 1) ** 2), inside)
    s.shade(1 - s("detail", 0, 0.4), inside, -12.2 - s.y)
    s.shade(1 - s("detail", 0.1, 0.6), inside, 0.4 - across, crotch - s.y)


def _pullover(s: _Sheet) -> None:
    half, hem = s("width", 5.2, 6.8), s("length", 9.5, 13)
    body = _curve(s.y, (-11, half + 1), (-6, half), (12, half - 0.2))
    inside = _top(s, body, hem, s("sleeve", 0.88, 1.06), s("width", 1.5, 2.1), s("neck", 0.4, 2.6), 3.6, half + 1.2)
    s.shade(1 - s("detail", 0, 0.3), inside, s.y - hem + 1.5)


def _dress(s: _Sheet) -> None:
    half, waist = s("width", 3.8, 5.4), s("length", -4, -1)
    body = _curve(s.y, (-11, half + 0.6), (-7, half), (waist, half - 0.7), (13, half + s("width", 0.5, 3.4)))
    sleeve, arm = s("sleeve", 0.01, 0.4), s("sleeve", 1.2, 1.8)
    inside = _top(s, body, s("length", 11, 14), sleeve, arm, s("neck", 1, 6), 2.8, half)
    s.shade(1 - s("detail", 0, 0.5), inside, 0.7 - abs(s.y - waist))


def _coat(s: _Sheet) -> None:
    half, across = s("width", 5.0, 6.6), abs(s.x)
    body = _curve(s.y, (-11, half + 0.4), (-6, half), (13, half + 0.8))
    inside = _top(s, body, s("length", 11, 14), s("sleeve", 0.86, 1.02), s("width", 1.7, 2.2), 0.8, 3.0, half + 0.2)
    s.shade(1.25, inside, _bar(across, s.y, (3.2, -13.5), (0.8, s("neck", -9, -2)), 1.2))
    s.shade(0.3, inside, 0.5 - across, s.y + 11)
    s.shade(0.6, inside, _bar(across, s.y, (2.6, 6), (5, 4.4), s("detail", -0.4, 0.7)))


def _shirt(s: _Sheet) -> None:
    half, across = s("width", 5.7, 7.2), abs(s.x)
    body = _curve(s.y, (-11, half + 0.6), (-3, half - 0.3), (13, half + 0.4))
    hem = s("length", 11.5, 14) - 0.05 * (across - 2) ** 2
    inside = _top(s, body, hem, s("sleeve", 0.48, 1), s("sleeve", 2.4, 1.9), s("neck", 1.5, 5), 3.0, half)
    s.shade(1.2, inside, _bar(across, s.y, (2.9, -13.5), (0.6, -9), 0.9))
    s.shade(1 + s("detail", 0.05, 0.2), inside, 0.8 - across, s.y + 12)
    s.shade(1 - s("detail", 0.1, 0.5), inside, 0.35 - across, np.sin(1.6 * s.y))


def _sandal(s: _Sheet) -> None:
    heel, rise, thick = s("sleeve", 0, 12), s("length", 3, 7), s("detail", 0.5, 1.4)
    ball = heel / 2 + 2
    instep, ankle, cloth = ball - rise, 1 - heel / 2 - rise, s.cloth()
    insole = _curve(s.x, (-9, ball), (-4, ball - 0.6), (6, 2 - heel * 0.42), (13, 1.5 - heel / 2))
    s.paint(0.8 * cloth, s.x - s("width", 11.5, 6), 13.6 - s.x, s.y - insole, ball + 2 - s.y)
    s.paint(0.9 * cloth, s.y - insole, insole + s("width", 1.3, 2.8) - s.y, 13.8 - abs(s.x))
    for start, end, radius in (
        ((-10.5, ball), (-6, instep), thick),
        ((-6, instep), (0, ball - heel * 0.2), thick),
        ((-5, instep), (11, ankle), thick * s("neck", 0, 1)),
        ((12.8, 2 - heel / 2), (10.5, ankle - 0.5), thick),
        ((4, ankle), (12, ankle), thick),
    ):
        s.paint(1.05 * cloth, _bar(s.x, s.y, start, end, radius))


def _sneaker(s: _Sheet) -> None:
    tall, bulk = s("length", 7.5, 11), s("width", 0, 1.5)
    base, rim = tall / 2, -tall / 2
    toe = ((-13.8, base - 2.4 - bulk), (-11.8, base - 4 - bulk), (-3, base - 5.2 - bulk))
    mouth = ((2.5, rim), (5, rim + 0.5), (8, rim + s("neck", 1, 3.5)), (11.5, rim + 0.6), (13.8, rim + 0.1))
    inside = _overlap((s.y - _curve(s.x, *toe, *mouth)) * 0.85, base - s.y, 13.8 - abs(s.x))
    s.paint(s.cloth() * _curve(s.x, (-13, 1), (0, 0.9), (13, 1.1)), inside)
    sole = s.y - base + s("sleeve", 1, 3.2)
    s.shade(s("detail", 0.6, 1.5), inside, sole)
    s.shade(0.6, inside, 0.4 - abs(sole))
    s.shade(1 - s("detail", 0.1, 0.5), inside, _bar(s.x, s.y, (2, base), (5.5, rim + 2), 0.8))
    for lace in (-3.5, -1.5, 0.5):
        eyelet = base - 7.8 - 0.6 * lace - bulk / 2
        s.shade(1 + s("detail", 0.1, 0.6), inside, _bar(s.x, s.y, (lace, eyelet), (lace + 2, eyelet + 2), 0.5))


def _bag(s: _Sheet) -> None:
    loop, half, cloth = np.maximum(s("sleeve", -4, 12), 0.1), s("width", 9, 13.7), s.cloth()
    tall = s("length", 15, 24) - 0.6 * loop
    lid, foot = (loop - tall) / 2, (loop + tall) / 2
    ring = 0.7 - abs(np.hypot(s.x / (half * 0.55), (s.y - lid) / loop) - 1) * np.minimum(half * 0.55, loop)
    s.paint(0.9 * cloth, ring, lid - s.y, loop - 0.6, half * 0.55 + 1 - abs(s.x))
    sides = _curve(s.y, (lid, half * s("neck", 0.75, 1)), (foot, half)) - abs(s.x)
    corners = 0.7 * (half + tall / 2 - 2 - abs(s.x) - abs(s.y - loop / 2))
    box = _overlap(sides, corners, s.y - lid, foot - s.y)
    s.paint(cloth * (1.05 - 0.2 * (s.x / half) ** 2), box)
    flap = lid + tall * s("detail", 0.2, 0.6)
    s.shade(0.6, box, 0.5 - abs(s.y - flap))
    s.shade(1.4, box, 1.1 - np.hypot(s.x, s.y - flap - 0.5))


def _ankle_boot(s: _Sheet) -> None:
    heel, rim, base, front = s("sleeve", 1.2, 9), s("length", -8, -13.7), s("length", 8.5, 12), s("width", 1, -2)
    instep = _curve(s.x, (-13.8, base - 4), (-9, base - 6), (-1, base - 9 - heel / 3), (2, base - 12 - heel / 3))
    sole = _curve(s.x, (-6, base), (3, base - heel * 0.75), (12, base - heel))
    foot = _overlap((s.y - instep) * 0.8, sole - s.y, 13.6 - abs(s.x))
    inside = np.maximum(foot, _overlap(s.x - front, 13 - s.x, s.y - rim, sole - s.y))
    cloth = s.cloth()
    s.paint(0.8 * cloth, s.x - s("width", 9, 6), 13.4 - s.x, base - s.y, s.y - sole + 1)
    s.paint(cloth * _curve(s.x, (-13, 0.95), (0, 1.1), (13, 1)), inside)
    s.shade(0.7, inside, s.y - sole + 1.2)
    s.shade(0.7, inside, _bar(s.x, s.y, (4, rim), (6, rim + 9), s("neck", -0.5, 1.4)))
    s.shade(1.35, inside, _bar(s.x, s.y, (front, rim + 2), (-4, base - 6), s("detail", -0.5, 1)))


_DRAW = (_t_shirt, _trouser, _pullover, _dress, _coat, _sandal, _shirt, _sneaker, _bag, _ankle_boot)


def render(labels: np.ndarray | int, factors: np.ndarray) -> np.ndarray:
    """The images that belong to labels and factors, (n, 28, 28, 1) float32 in [0, 1], background exactly 0.

    labels: (n,) integers, or one for all. factors: (n, 9) in [0, 1], columns in the order of `FACTORS`.
    The same label and factors give the same image whatever else is in the batch.
    Raises ValueError for labels or factors of another shape or outside their range.
    """
    factors = arrays.numbers(factors, "factors", finite=False).astype("float32")
    if factors.ndim != 2 or factors.shape[1] != len(FACTORS) or not ((factors >= 0) & (factors <= 1)).all():
        raise ValueError(f"factors must be (n, {len(FACTORS)}) in [0, 1], one column each for {', '.join(FACTORS)}")
    labels = arrays.numbers(labels, "labels", finite=False)
    if labels.shape not in ((), factors.shape[:1]) or not np.isin(labels, range(len(CLASSES))).all():
        raise ValueError(f"labels must be {len(factors)} integers from 0 to {len(CLASSES) - 1}, one for each image")
    labels = np.broadcast_to(labels.astype("int64"), len(factors))
    images = np.zeros((len(factors), 28, 28), np.float32)
    y, x = np.mgrid[:28, :28].astype(np.float32) - np.float32(13.5)
    for label in np.unique(labels):
        chosen = factors[labels == label]
        turn = np.float32(np.pi / 22.5) * (chosen[:, FACTORS.index("tilt"), None, None] - 0.5)
        along, down = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        sheet = _Sheet(along, down, chosen, np.zeros_like(along))
        _DRAW[label](sheet)
        images[labels == label] = sheet.grey
    return np.clip(images, 0, 1)[..., None]


def draw(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw n garments in shuffled order.

    Returns images (n, 28, 28, 1) float32 in [0, 1], labels (n,) int64 and factors (n, 9) float32. Labels index
    `CLASSES`, in Fashion-MNIST's order; their counts differ by one at most. Factors are independent and uniform in
    [0, 1], columns in the order of `FACTORS`. `render(labels, factors)` gives the images again.
    Raises ValueError when n is below 1 or seed is negative, or one of them is no whole number.
    The chapters' Fashion-MNIST (Xiao, Rasul and Vollgraf 2017) where that can't be had.
    """
    n, seed = arrays.whole(n, "n"), arrays.whole(seed, "seed")
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(n, dtype=np.int64) % len(CLASSES))
    factors = random.random((n, len(FACTORS)), dtype=np.float32)
    return render(labels, factors), labels, factors
