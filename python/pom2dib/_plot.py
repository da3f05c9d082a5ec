"""Pictures of a run, drawn by matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._errors import needs

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ._run import Run


class Plot:
    """The pictures of a run. Each is drawn on the axes that are given, or on new ones, which are returned."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def rate_relevance(self, axes: Axes | None = None, *, smooth: int = 20) -> Axes:
        """Relevance against rate, in nats: minus each receiver's cross entropy over its rate, a line through the rounds, each point
        the mean of ``smooth`` of them. A dot marks where the run is now."""
        axes = axes if axes is not None else _axes()
        rounds = self._run.rounds
        for t, task in enumerate(self._run.receivers):
            rates = _means([round.rate[t] for round in rounds], smooth)
            relevance = _means([-round.ce[t] for round in rounds], smooth)
            line = axes.plot(rates, relevance, label=task, linewidth=1.2)[0]
            axes.plot(rates[-1:], relevance[-1:], "o", color=line.get_color())
        axes.set_xlabel("rate (nats)")
        axes.set_ylabel("relevance: minus cross entropy (nats)")
        axes.legend()
        return axes

    def selection(self, axes: Axes | None = None, *, last: int = 100) -> Axes:
        """Which entries are granted to whom: the mean share of ticks over the ``last`` rounds, dark for always."""
        axes = axes if axes is not None else _axes()
        tasks, entries = self._run.receivers, self._run.entries
        lines = self._run._lines("selection.jsonl")[-last:]
        shares = [
            [sum(line["granted"][t][entry] for line in lines) / max(1, len(lines)) for t in range(len(tasks))]
            for entry in range(len(entries))
        ]
        axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
        axes.set_xticks(range(len(tasks)), tasks)
        axes.set_yticks(range(len(entries)), [f"{k} {name}" for k, _, name in entries])
        axes.set_xlabel("receiver")
        axes.set_ylabel("transmitter and modality")
        for entry, row in enumerate(shares):
            for t, share in enumerate(row):
                if share >= 0.005:
                    colour = "white" if share > 0.5 else "black"
                    axes.text(t, entry, f"{share:.2f}", ha="center", va="center", color=colour, fontsize="small")
        return axes


def _axes() -> Any:
    try:
        import matplotlib.pyplot
    except ImportError:
        raise needs("matplotlib", "plot", "a picture") from None
    return matplotlib.pyplot.subplots(layout="constrained")[1]


def _means(values: list[float], of: int) -> list[float]:
    """The means of so many values in a row, one after the other."""
    pieces = [values[at : at + of] for at in range(0, len(values), max(1, of))]
    return [sum(piece) / len(piece) for piece in pieces]
