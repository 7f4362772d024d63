"""What becomes of every happening in every state: the specification of the machine.

`.` absorbs: nothing new. `!` is a contradiction: nothing is done, an operator is told. A word is a rule of machine.py,
which moves, or absorbs where it finds that the saga knows. `former` is the rule of the state before help was needed.
"""

from ledger.domain.payments.saga import State

_UNDER_WAY = """
                   requested  funds_held  charging   charged   releasing  refunding  needs_operator
hold_placed        placed     .           .          .         .          held       former
hold_refused       refused    !           !          !         !          unheld     former
charge_accepted    !          accepted    accepted   same      noted      same       former
charge_declined    !          declined    declined   !         denied     !          former
refund_accepted    !          !           !          !         returned   repaid     former
refund_declined    !          !           !          !         .          unpaid     .
unknown            .          .           in_doubt   .         .          in_doubt   .
retry_later        .          .           postponed  .         .          postponed  .
not_found          .          .           missing    .         .          missing    .
pending            .          .           in_doubt   .         .          in_doubt   .
capture_posted     !          !           !          settled   !          !          former
capture_refused    !          !           !          unposted  .          .          former
release_posted     !          !           !          !         freed      vacant     former
release_refused    !          !           !          !         unfreed    .          .
woke_up            overdue    began       went_on    resent    resent     went_on    reminded
told_retry         !          !           !          !         !          !          retried
told_charged       !          !           !          !         !          !          confirmed
told_not_charged   !          !           !          !         !          !          denied_by_hand
told_hold_closed   !          !           !          !         !          !          closed_by_hand
"""

_ENDED = """
                   settled    declined    released   expired   refunded
hold_placed        .          !           .          .         held
hold_refused       !          .           !          !         unheld
charge_accepted    same       late        late       late      same
charge_declined    !          .           .          .         !
refund_accepted    !          !           !          !         returned
refund_declined    !          !           !          !         .
unknown            .          .           .          .         .
retry_later        .          .           .          .         .
not_found          .          .           .          .         .
pending            .          .           .          .         .
capture_posted     .          !           !          !         !
capture_refused    !          .           .          .         .
release_posted     !          !           .          .         vacant
release_refused    !          !           .          .         .
woke_up            .          .           .          .         .
told_retry         !          !           !          !         !
told_charged       !          !           !          !         !
told_not_charged   !          !           !          !         !
told_hold_closed   !          !           !          !         !
"""


def _parsed(text: str) -> dict[tuple[State, str], str]:
    header, *rows = (line.split() for line in text.strip().splitlines())
    return {
        (State(state), kind): cell for kind, *cells in rows for state, cell in zip(header, cells, strict=True)
    }


TABLE = _parsed(_UNDER_WAY) | _parsed(_ENDED)
"""The cell of each state and kind of happening."""
