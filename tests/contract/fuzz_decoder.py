"""`make fuzz-decoder`: looks for bytes that a decoder cannot take, for as long as asked, and keeps what it finds."""

import argparse
import sys
from hashlib import blake2b
from time import monotonic

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from loadtests.arguments import positive
from tests.contract.fuzzed import READERS, is_handled, read
from tests.contract.hostile import CORPUS, records

ROUND = settings(
    max_examples=2000,
    database=None,
    deadline=None,
    derandomize=False,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)


def main(minutes: float) -> int:
    """Give how many rounds found something."""
    end, number, found = monotonic() + 60 * minutes, 0, 0
    while monotonic() < end:
        number += 1
        found += _round(number)
        sys.stdout.write(f"{number * ROUND.max_examples:,} records, {found} found\n")
    return found


def _round(number: int) -> int:
    failing: list[bytes] = []

    @seed(number)
    @ROUND
    @given(records() | st.binary(max_size=2000))
    def take(value: bytes) -> None:
        failing.append(value)
        is_handled(value)
        for name in READERS:
            read(name, value)
        failing.pop()

    try:
        take()
    except Exception as fault:
        # The smallest comes last.
        kept = CORPUS / f"found_{blake2b(failing[-1], digest_size=6).hexdigest()}.bin"
        kept.write_bytes(failing[-1])
        sys.stdout.write(f"seed {number}: {fault!r}, kept as {kept.name}: {failing[-1][:200]!r}\n")
        return 1
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("minutes", type=positive)
    sys.exit(1 if main(parser.parse_args().minutes) else 0)
