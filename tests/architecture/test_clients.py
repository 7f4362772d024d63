"""Every client of Kafka is made in one way, so that none speaks in the clear where others do not."""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.tree import PRODUCT, modules, parsed, shown

# It asks the stack's own server, on the loopback, whether it is there.
OPEN = {"streams/embedded/kafka.py"}


def unprotected(module: ast.Module) -> Iterator[int]:
    """Find the lines that make a client of aiokafka without `**client_options(…)`."""
    for node in ast.walk(module):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id.startswith("AIOKafka")
        ):
            given = [each.value for each in node.keywords if each.arg is None]
            if not any(
                isinstance(each, ast.Call) and ast.unparse(each.func) == "client_options" for each in given
            ):
                yield node.lineno


def test_every_client_is_given_how_kafka_is_reached() -> None:
    found = [f"{shown(path)}:{line}" for path in modules(*PRODUCT) for line in unprotected(parsed(path))]
    assert [each for each in found if each.partition(":")[0] not in OPEN] == []


@pytest.mark.parametrize(
    ("code", "is_found"),
    [
        ("AIOKafkaConsumer(bootstrap_servers=x)", True),
        ("AIOKafkaProducer(**options)", True),
        ("AIOKafkaConsumer(**client_options(x), group_id=y)", False),
    ],
)
def test_a_client_in_the_clear_is_found(code: str, is_found: bool) -> None:
    assert bool(list(unprotected(ast.parse(code)))) is is_found
