"""What a worker publishes of an outcome is what the contract writes, each record in its topic."""

from ledger.config import Settings
from ledger.contract.decode import decode_event
from ledger.contract.outgoing import entry_messages, outcome_message
from ledger.domain.outcome import Outcome
from ledger.domain.transaction import Entry
from streams.publishing import outgoing, to_topic
from tests.builders import NOW, TRANSFER, body, encoded

SETTINGS = Settings(outcomes_topic="told", entries_topic="moved")
EVENT = decode_event(encoded(body(data=TRANSFER)), key=b"acme/ann")
ENTRIES = (Entry("ann", "USD/2", -5, 1, -5, 5, 0), Entry("bob", "USD/2", 5, 3, 7, 2, 9))
POSTED = Outcome(EVENT, "posted", NOW, EVENT.id, ENTRIES, effective_at=NOW)


def test_an_outcome_goes_before_its_entries_each_to_its_topic() -> None:
    told, *moved = outgoing(POSTED, SETTINGS)
    assert told == to_topic("told", outcome_message(POSTED))
    assert moved == [to_topic("moved", each) for each in entry_messages(POSTED)]
    assert [each.key for each in (told, *moved)] == [b"acme/ann", b"acme/ann", b"acme/bob"]


def test_an_outcome_without_entries_goes_alone() -> None:
    refused = Outcome(EVENT, "rejected", NOW)
    assert outgoing(refused, SETTINGS) == [to_topic("told", outcome_message(refused))]
