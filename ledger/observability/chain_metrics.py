"""Prometheus metrics of the audit chain, counted from its signals."""

from prometheus_client import CollectorRegistry, Counter

from ledger.observability.signals import Facts


class ChainMetrics:
    """A listener that counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._links = Counter("ledger_chain_links", "Transactions linked", ["late"], registry=registry)
        self._unknown = Counter(
            "ledger_chain_transactions_not_there",
            "Transactions that the stream says were posted and the books do not have",
            registry=registry,
        )

    def __call__(self, name: str, facts: Facts) -> None:
        if name == "chain.extended":
            self._links.labels("true" if facts["late"] else "false").inc(facts["links"])
            self._unknown.inc(facts["unknown"])
