"""The moves between states, each with what leads to it: no other is ever made."""

from ledger.domain.payments.saga import Saga, State


class IllegalMoveError(Exception):
    """A saga would have made a move that is not on the list, or would wait for nothing: a fault of the machine."""


_TEXT = """
    requested       funds_held      hold placed
    requested       declined        hold refused
    funds_held      charging        the first try begins
    funds_held      charged         accepted by a try that was forgotten
    funds_held      releasing       the deadline passed, or declined by a forgotten try
    charging        charged         accepted
    charging        releasing       declined, out of tries, or the deadline passed
    charging        needs_operator  unknown for too long
    charged         settled         capture posted
    charged         refunding       capture refused
    charged         needs_operator  no outcome
    releasing       released        void posted
    releasing       expired         void posted, after the deadline
    releasing       refunded        void posted, after the refund
    releasing       refunding       void posted, accepted meanwhile
    releasing       needs_operator  void refused, or no outcome
    refunding       releasing       refund accepted
    refunding       refunded        refund accepted, nothing held
    refunding       needs_operator  out of tries, or unknown for too long
    declined        refunding       accepted after all
    released        refunding       accepted after all
    expired         refunding       accepted after all
    needs_operator  charging        retry
    needs_operator  charged         charged, or retry
    needs_operator  settled         capture posted after all
    needs_operator  releasing       not charged, refunded, or retry
    needs_operator  refunding       retry, capture refused, or hold closed
    needs_operator  released        hold closed
    needs_operator  expired         hold closed
    needs_operator  refunded        hold closed, or refunded with nothing held
"""


def _parsed(text: str) -> dict[tuple[State, State], str]:
    rows = (line.split(maxsplit=2) for line in text.strip().splitlines())
    return {(State(before), State(after)): why for before, after, why in rows}


MOVES = _parsed(_TEXT)
"""What leads from one state to another."""


def check(before: Saga, after: Saga) -> None:
    """Raise IllegalMoveError for a move that is not on the list, and for a saga that nothing would wake."""
    if before.state is not after.state and (before.state, after.state) not in MOVES:
        raise IllegalMoveError(f"payment {after.id}: {before.state} to {after.state}")
    if after.state.is_end is (after.next_at is not None):
        raise IllegalMoveError(f"payment {after.id} is {after.state} and will be woken at {after.next_at}")
