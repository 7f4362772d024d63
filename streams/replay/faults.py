"""What stands in the way of a replay."""


class NotReplayableError(Exception):
    """What was asked for cannot be replayed so; the message says why and what can be done."""
