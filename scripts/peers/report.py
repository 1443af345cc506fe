"""The result as Markdown: a table for each scenario, and one for all of them."""
from __future__ import annotations  # a python3 of Debian 11 cannot do without

from dataclasses import dataclass, field
from statistics import median

from measure import Server

REFERENCES = ("nginx", "HAProxy")
KINDS = ("nginx", "HAProxy", "Varnish", "Tidegate")


@dataclass
class Row:
    """A server of a scenario, and what came out."""

    server: Server
    samples: list = field(default_factory=list)  # one a round
    resident: int = 0  # bytes when all was over
    grown: float | None = None  # bytes for each connection that is held

    def middle(self, what):
        """The median of the rounds."""
        return median(getattr(sample, what) for sample in self.samples)

    @property
    def cost(self):
        """What is compared: lower is better."""
        return self.middle("cost") if self.grown is None else self.grown


def figure(number):
    """Three digits that mean something."""
    return f"{number:.2f}" if number < 10 else f"{number:.1f}" if number < 1000 else f"{number:,.0f}"


def table(columns, rows):
    """Markdown lines; all columns but the first are numbers."""
    return [
        f"| {' | '.join(columns)} |",
        f"|---|{'---:|' * (len(columns) - 1)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def of_kind(rows, kind):
    """The row that stands for a kind: its first."""
    return next((row for row in rows if row.server.kind == kind), None)


def ratio(row, other):
    return f"{row.cost / other.cost:.2f}" if row and other else "–"


def memory(row):
    return f"{row.resident / (1 << 20):.1f}"


def spread(row):
    if row.grown is not None:
        return "–"
    costs = [sample.cost for sample in row.samples]
    return f"{figure(min(costs))} to {figure(max(costs))}"


def scenario_lines(scenario, rows):
    """The table of one scenario, with its heading."""
    heading = [f"### {scenario.title} (`{scenario.name}`)", ""]
    others = {f"÷ {kind}": row for kind in REFERENCES if (row := of_kind(rows, kind))}
    if scenario.conns:
        others = {f"÷ {rows[0].server.conns} connections": rows[0]}
    if scenario.how == "idle":
        columns = ["server", "bytes a connection", *others, "RSS MB with all"]
        lines = [
            [row.server.name, figure(row.grown), *(ratio(row, other) for other in others.values()), memory(row)]
            for row in rows
        ]
        return [*heading, *table(columns, lines), *(["", scenario.note] if scenario.note else [])]
    rounds = len(rows[0].samples)
    columns = ["server", "CPU µs a request", f"{rounds} rounds", *others, "requests/s", "p99 ms", "core busy", "RSS MB"]
    encoded = ["bytes of body"] if scenario.ask.encoding else []
    few = ["connections"] if scenario.how == "half" else []
    lines = [
        [
            row.server.name,
            figure(row.cost),
            spread(row),
            *(ratio(row, other) for other in others.values()),
            f"{row.middle('rate'):,.0f}",
            figure(row.middle("p99")),
            f"{row.middle('busy'):.0%}",
            memory(row),
            *([f"{row.server.wire:,}"] if encoded else []),
            *([str(row.server.conns)] if few else []),
        ]
        for row in rows
    ]
    return [*heading, *table([*columns, *encoded, *few], lines), *(["", scenario.note] if scenario.note else [])]


def summary_lines(results):
    """One line for each scenario: CPU µs a request (bytes a connection for idle ones), and how Tidegate stands."""
    columns = ["scenario", *KINDS, "rounds of Tidegate", *(f"÷ {kind}" for kind in REFERENCES)]
    columns += ["requests/s", "p99 ms", "RSS MB"]
    lines = []
    for scenario, rows in results:
        kinds = {kind: of_kind(rows, kind) for kind in KINDS}
        own = kinds["Tidegate"]
        loaded = own and own.samples
        lines.append(
            [
                f"{scenario.title}{', bytes a connection' if scenario.how == 'idle' else ''}",
                *(figure(row.cost) if row else "–" for row in kinds.values()),
                spread(own) if own else "–",
                *(ratio(own, kinds[kind]) for kind in REFERENCES),
                f"{own.middle('rate'):,.0f}" if loaded else "–",
                figure(own.middle("p99")) if loaded else "–",
                memory(own) if own else "–",
            ]
        )
    return [
        "### In one table",
        "",
        "CPU µs a request, median of the rounds; the last six columns are those of Tidegate.",
        "",
        *table(columns, lines),
    ]
