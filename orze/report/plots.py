"""progress.svg: every trial a dot, the running best as a staircase, failures marked below.

`python -m orze.report.plots IN.json OUT.svg` is a process of its own, so that the daemon never loads
matplotlib.
"""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orze.core.files import RealFiles
from orze.report.text import clean, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from orze.report.leaderboard import Leaderboard

# Okabe and Ito's palette, which people with any colour vision can tell apart.
_BEST = "#0072b2"
_FAILED = "#d55e00"
_DOT = "#9aa3ad"
_INK = "#24292f"
_FAINT = "#6e7781"
_GRID = "#e6e8eb"
_MANY = 1000
_LARGEST = 1e300
_LARGEST_INPUT = 64 * 1024 * 1024
# In points, of which this figure and every SVG of matplotlib have 72 to the inch.
_CHARACTER = 5.7
_LINE = 13.0


@dataclass(frozen=True, slots=True)
class Plot:
    """What the picture shows: a value or None for each trial in order, and indices into them.

    `bests` holds the index and the name of each trial that was the best when it ended.
    """

    title: str
    metric: str
    ascending: bool
    values: Sequence[float | None]
    failed: Sequence[int]
    bests: Sequence[tuple[int, str]]


def plot_input(board: Leaderboard, title: str) -> bytes:
    """Return what `python -m orze.report.plots` reads: the whole history of a leaderboard, as JSON."""
    history = board.history()
    primary = board.primary
    plot = {
        "title": title,
        "metric": primary.name if primary else "",
        "ascending": primary.ascending if primary else False,
        "values": history.values,
        "failed": history.failed,
        "bests": history.bests,
    }
    return json.dumps(plot, separators=(",", ":"), allow_nan=False).encode("ascii")


def y_range(values: Sequence[float], ascending: bool) -> tuple[float, float]:
    """Choose the values that the picture spans.

    The best is always inside. Of the worst quarter, what would press the others into less than a sixth of the
    height is left out.

    Args:
        values: at least one finite number, at most 1e300 in size.
        ascending: whether smaller is better.

    Returns:
        The lowest and the highest value shown, the first below the second.
    """
    losses = sorted(value if ascending else -value for value in values)
    best, worst = losses[0], losses[-1]
    near = losses[(len(losses) - 1) * 3 // 4]
    if worst - best > 6 * (near - best) > 0:
        worst = near + (near - best)
    if worst - best < 1e-9 * max(abs(worst), abs(best), 1e-9):
        room = 0.01 * max(abs(worst), 1.0)
        best, worst = best - room, worst + room
    return (best, worst) if ascending else (-worst, -best)


def draw(plot: Plot) -> Figure:
    """Draw the picture, 864 by 403 pixels as SVG.

    Args:
        plot: none of its texts is trusted; they are never read as mathematics or markup.

    Returns:
        A figure to be saved.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 4.2), dpi=72, facecolor="white")
    axes = figure.add_axes((0.09, 0.125, 0.885, 0.7))
    _frame(axes, plot)
    _failures(axes, plot)
    shown = {i: max(-_LARGEST, min(_LARGEST, v)) for i, v in enumerate(plot.values) if v is not None}
    outside = _values(axes, plot, shown) if shown else 0
    if not shown:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no result yet", transform=axes.transAxes, ha="center", color=_FAINT)
    title = clean(plot.title, 70)
    figure.text(0.03, 0.935, title, fontsize=13, fontweight="bold", color=_INK, parse_math=False)
    figure.text(0.03, 0.872, _subtitle(plot, outside), fontsize=9.5, color=_FAINT, parse_math=False)
    return figure


def save(plot: Plot, path: str) -> None:
    """Draw the picture and put it in the place of `path` at once.

    Raises:
        OSError: it cannot be written there.
    """
    import matplotlib

    svg = io.BytesIO()
    # A font that lacks a character of somebody's title is no reason to say anything.
    with warnings.catch_warnings(action="ignore"), matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rc("svg", fonttype="none", hashsalt="orze")
        draw(plot).savefig(svg, format="svg", dpi=150, metadata={"Date": None})
    files, target = RealFiles(), os.path.abspath(path)
    files.replace(target, svg.getvalue())
    files.sync_dir(os.path.dirname(target))


def _frame(axes: Axes, plot: Plot) -> None:
    from matplotlib.ticker import MaxNLocator

    total = len(plot.values)
    axes.set_xlim(0.5 - 0.02 * max(total, 10), max(total, 1) + 0.5 + 0.02 * max(total, 10))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("trials in the order in which they ended", color=_FAINT, fontsize=10)
    better = "lower" if plot.ascending else "higher"
    metric = f"{clean(plot.metric, 40)} ({better} is better)" if plot.metric else "no metric yet"
    axes.set_ylabel(metric, color=_FAINT, fontsize=10, parse_math=False)
    axes.grid(axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_FAINT, length=0, labelsize=9)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(_GRID)


def _values(axes: Axes, plot: Plot, shown: dict[int, float]) -> int:
    """Draw all values; returns how many are off the scale."""
    low, high = y_range(list(shown.values()), plot.ascending)
    height = high - low
    # Room for the labels on the better side, and for the row of failures at the bottom.
    below = 0.06 + 0.1 * bool(plot.failed) + 0.1 * plot.ascending
    axes.set_ylim(low - height * below, high + height * (0.05 if plot.ascending else 0.12))
    axes.ticklabel_format(axis="y", useOffset=False)
    inside = {i: v for i, v in shown.items() if low <= v <= high}
    _dots(axes, list(inside), list(inside.values()), "o")
    outside = [i for i in shown if i not in inside]
    edge = high if plot.ascending else low
    _dots(axes, outside, [edge] * len(outside), "^" if plot.ascending else "v")
    _staircase(axes, plot, {i: min(max(shown[i], low), high) for i, _ in plot.bests})
    return len(outside)


def _dots(axes: Axes, where: list[int], values: list[float], marker: str) -> None:
    many = len(where) > _MANY
    size = 5 if many else 22
    # Thousands of dots become one image inside the SVG: each is still there, and the file stays small.
    axes.scatter(
        [i + 1 for i in where],
        values,
        s=size,
        marker=marker,
        color=_DOT,
        alpha=0.35 if many else 0.85,
        linewidths=0,
        rasterized=many,
    )


def _failures(axes: Axes, plot: Plot) -> None:
    if plot.failed:
        many = len(plot.failed) > _MANY
        axes.plot(
            [i + 1 for i in plot.failed],
            [0.035] * len(plot.failed),
            "x",
            transform=axes.get_xaxis_transform(),
            color=_FAILED,
            markersize=4 if many else 6,
            markeredgewidth=1.3,
            alpha=min(1.0, 200 / len(plot.failed)),
            rasterized=many,
        )


def _staircase(axes: Axes, plot: Plot, heights: dict[int, float]) -> None:
    x = [i + 1 for i in heights]
    y = list(heights.values())
    many = len(x) > _MANY
    axes.step([*x, len(plot.values)], [*y, y[-1]], where="post", color=_BEST, linewidth=1.8, rasterized=many)
    axes.plot(
        x, y, "o", color=_BEST, markersize=6.5, markeredgecolor="white", markeredgewidth=1.0, rasterized=many
    )
    _labels(axes, plot, list(zip(x, y, strict=True)))


def _labels(axes: Axes, plot: Plot, bests: list[tuple[float, float]]) -> None:
    """Name the bests, the latest first, where there is room before the next step of the staircase."""
    start, end = axes.transAxes.transform([(0.0, 0.0), (1.0, 0.0)])[:, 0]
    taken: list[tuple[float, float, float]] = []
    places = axes.transData.transform(bests)
    for (_, name), place, (across, up) in reversed(list(zip(plot.bests, bests, places, strict=True))):
        text = clean(name, 24)
        left = max(start + 2, across + 4 - len(text) * _CHARACTER)
        right = left + len(text) * _CHARACTER
        next_step, end = end, across
        apart = all(right + 6 < a or left > b + 6 or abs(up - u) >= _LINE for a, b, u in taken)
        if right > next_step or not apart:
            continue
        axes.annotate(
            text,
            place,
            (right - across, -8 if plot.ascending else 8),
            textcoords="offset points",
            ha="right",
            va="top" if plot.ascending else "bottom",
            fontsize=9,
            fontweight="normal" if taken else "bold",
            color=_BEST,
            parse_math=False,
        )
        taken.append((left, right, up))


def _subtitle(plot: Plot, outside: int) -> str:
    told = []
    if plot.bests:
        index, name = plot.bests[-1]
        told.append(f"best so far, one run: {clean(name, 24)} with {number(plot.values[index] or 0.0)}")
    told.append("1 trial" if len(plot.values) == 1 else f"{len(plot.values):,} trials")
    if plot.failed:
        told.append(f"{len(plot.failed):,} failed (×)")
    if outside:
        told.append(f"{outside:,} off the scale, drawn at its edge")
    return " · ".join(told)


def read_input(path: str) -> Plot:
    """Read what `plot_input` made.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds something else.
    """
    try:
        plot = Plot(**json.loads(RealFiles().read(path, _LARGEST_INPUT)))
        if all(plot.values[index] is not None for index, _ in plot.bests):
            return plot
    except (TypeError, LookupError) as error:
        raise ValueError(f"{path} was not made by plot_input") from error
    raise ValueError(f"{path} calls a trial without a value the best")


def main(arguments: Sequence[str]) -> int:
    """Draw OUT.svg from IN.json.

    Args:
        arguments: the two paths.

    Returns:
        The exit status: 0 when the picture is there; 1, with one sentence on standard error, when it could
        not be made; 2 when the arguments are wrong.
    """
    if len(arguments) != 2:
        print("usage: python -m orze.report.plots IN.json OUT.svg", file=sys.stderr)
        return 2
    if importlib.util.find_spec("matplotlib") is None:
        print("progress.svg is not drawn: matplotlib is missing; pip install matplotlib", file=sys.stderr)
        return 1
    # A MPLBACKEND meant for other programs, or a home directory that cannot be written, must not matter.
    os.environ["MPLBACKEND"] = "svg"
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        save(read_input(arguments[0]), arguments[1])
    except (OSError, ValueError) as error:
        print(f"progress.svg is not drawn: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    os.nice(10)  # the picture can wait, the daemon that asked for it cannot
    sys.exit(main(sys.argv[1:]))
