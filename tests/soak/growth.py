"""What grows: the rule by which the soak judges a series of measurements, and how it shows one.

A load that stays the same makes a process rise until it has what it needs, and then go up and down. So the first half
of the time is not judged by its slope. A series grows when

- over the second half the slope (Theil-Sen: the median of the slopes of all pairs) is above the bound of its kind, and
  so is the lower end of its 99 % interval (Sen 1968, from Kendall's variance), and what it makes over the half is more
  than the kind's least rise, so that a short run is not judged by a trifle; or
- its end lies above its beginning, after the warm-up, by more than the kind's whole bound: medians of a tenth of the
  time each."""

import math
from dataclasses import dataclass

# The part of the time that nothing is asked of.
WARM_UP = 0.1
# Seconds of the second half below which the load's own rhythm shows in a slope, and by what the least rise is more
# then.
SHORT, SHORT_FACTOR = 300, 5
# So many points at most are judged: of more, medians of neighbours are.
POINTS = 200
# Of the normal distribution, for an interval of 99 %.
CONFIDENCE = 2.576


@dataclass(frozen=True)
class Bound:
    """How much a kind of measurement may grow."""

    an_hour: float  # slope over the second half
    rise: float  # what that slope makes of the half, at least, before it counts
    whole: float  # from after the warm-up to the end


# The one list of what is judged. KB for memory, numbers of things for the rest.
BOUNDS = {
    "memory": Bound(an_hour=4096, rise=2048, whole=32768),
    "descriptors": Bound(an_hour=12, rise=12, whole=150),
    "sockets": Bound(an_hour=12, rise=12, whole=150),
    "names": Bound(an_hour=12, rise=12, whole=150),
    "folders": Bound(an_hour=1, rise=1.5, whole=2),
}


def median(values):
    """The middle one, or the mean of the middle two."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def thinned(series, most=POINTS):
    """The series in at most so many points, each the medians of neighbours."""
    each = math.ceil(len(series) / most)
    if each <= 1:
        return list(series)
    parts = [series[at : at + each] for at in range(0, len(series), each)]
    return [(median(t for t, _ in part), median(v for _, v in part)) for part in parts]


def slope(series):
    """The Theil-Sen slope a second, and the lower end of its interval; zeros where there are too few points."""
    points = thinned(series)
    slopes = sorted(
        (later - value) / (at - time)
        for place, (time, value) in enumerate(points)
        for at, later in points[place + 1 :]
        if at > time
    )
    if len(points) < 8 or not slopes:
        return 0.0, 0.0
    n = len(points)
    width = CONFIDENCE * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low = max(0, int((len(slopes) - width) / 2))
    return median(slopes), slopes[low]


@dataclass(frozen=True)
class Verdict:
    """What a series is, and whether it grows."""

    start: float
    middle: float
    end: float
    an_hour: float
    why: str  # empty when it does not grow


def judge(series, bound):
    """The verdict on pairs of seconds and value, in the order of time."""
    first, last = series[0][0], series[-1][0]
    part = lambda begin, end: [  # noqa: E731
        (t, v) for t, v in series if first + begin * (last - first) <= t <= first + end * (last - first)
    ]
    mid = lambda begin, end: median([v for _, v in part(begin, end)] or [series[-1][1]])  # noqa: E731
    start, middle, end = mid(WARM_UP, 2 * WARM_UP), mid(0.45, 0.55), mid(0.9, 1)
    half = part(0.5, 1)
    per_second, low = slope(half)
    an_hour, rise = per_second * 3600, per_second * (half[-1][0] - half[0][0])
    least = bound.rise * (SHORT_FACTOR if half[-1][0] - half[0][0] < SHORT else 1)
    why = ""
    if low * 3600 > bound.an_hour and rise > least:
        why = f"grows by {an_hour:.0f} an hour (bound {bound.an_hour:.0f}), {rise:.0f} in the second half"
    elif end - start > bound.whole:
        why = f"is {end - start:.0f} above its beginning (bound {bound.whole:.0f})"
    return Verdict(start, middle, end, an_hour, why)


BLOCKS = "▁▂▃▄▅▆▇█"


def line(series, width=60):
    """A series as a line of text: the height of each place is a median, between the least and the greatest."""
    points = [value for _, value in thinned(series, width)]
    least, greatest = min(points), max(points)
    scale = (len(BLOCKS) - 1) / (greatest - least) if greatest > least else 0
    return "".join(BLOCKS[round((value - least) * scale)] for value in points)


COLOURS = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22"]


def svg(panels, width=900, height=260):
    """A picture: a panel for each of (title, unit, {name: series}), one below the other."""
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height * len(panels)}" '
           'font-family="sans-serif" font-size="11">',
           '<rect width="100%" height="100%" fill="white"/>']
    for place, (title, unit, lines) in enumerate(panels):
        top, left, right, bottom = place * height + 24, 70, width - 230, (place + 1) * height - 28
        values = [v for series in lines.values() for _, v in series] or [0]
        times = [t for series in lines.values() for t, _ in series] or [0]
        greatest, longest = max(values) * 1.05 or 1, max(times) or 1
        x = lambda t: left + (right - left) * t / longest  # noqa: E731
        y = lambda v: bottom - (bottom - top) * v / greatest  # noqa: E731
        out.append(f'<text x="{left}" y="{top - 8}" font-weight="bold">{title}</text>')
        out.append(f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="#444"/>')
        for part in range(5):
            value = greatest * part / 4
            out.append(f'<text x="{left - 4}" y="{y(value) + 4:.0f}" text-anchor="end">{value:.0f} {unit}</text>')
            time = longest * part / 4
            out.append(f'<text x="{x(time):.0f}" y="{bottom + 14}" text-anchor="middle">{time / 60:.1f} min</text>')
        for number, (name, series) in enumerate(lines.items()):
            colour = COLOURS[number % len(COLOURS)]
            points = " ".join(f"{x(t):.1f},{y(v):.1f}" for t, v in thinned(series))
            out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.3"/>')
            out.append(f'<text x="{right + 8}" y="{top + 4 + 14 * number}" fill="{colour}">{name}</text>')
    return "\n".join(out + ["</svg>", ""])
