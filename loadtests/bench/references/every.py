"""What else this machine can do, to hold the ledger against, by the case that each is.

Each takes a stage of its own, a number of events and a seed. Stock Faust and pgbench are slow: a few thousand
events are enough for them.
"""

from collections.abc import Awaitable, Callable
from functools import partial

from loadtests.bench.references import kafka_alone, pgbench, raw, stock_faust
from loadtests.bench.results import Measured
from loadtests.bench.stage import Stage

Measure = Callable[[Stage, int, int], Awaitable[Measured]]

_WAYS = (pgbench.Way(2), pgbench.Way(2, "prepared"), pgbench.Way(8), pgbench.Way(8, "prepared"))

REFERENCES: dict[str, Measure] = {
    raw.CASE: raw.measure,
    raw.FLOOR_CASE: partial(raw.measure, floor=True),
    kafka_alone.CASE: kafka_alone.measure,
    stock_faust.CASE: stock_faust.measure,
    f"{stock_faust.CASE}@isolated": partial(stock_faust.measure, isolated=True),
    **{way.case: partial(pgbench.measure, way=way) for way in _WAYS},
}
