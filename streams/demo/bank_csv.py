"""Real bank history as events: each row of a CSV is one movement of one account.

Columns that are read: `id` (of the movement), `account`, `date` (YYYY-MM-DD), `direction` (credit or debit, as the
account sees it), `operation`, `amount_minor`; if there, `purpose`, `partner_bank`, `bank_balance_minor` (the bank's
own balance after the movement) and `bank_balance_is_exact` (1 where the movements add up to it).

| operation, purpose | other side |
|---|---|
| cash_deposit, cash_withdrawal, card_withdrawal | `external:cash` |
| transfer_in, transfer_out | `external:bank:XX`, XX the partner bank |
| bank, interest, or purpose penalty_interest | `bank:interest` |
| purpose statement_fee | `bank:fees` |
"""

import csv
import gzip
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

import orjson

from ledger.contract.outgoing import record_key
from ledger.domain.ids import derived_id
from ledger.domain.moments import milliseconds
from streams.demo.mix import Sent

TENANT = "bank"
ASSET = "CZK/2"
SOURCE = "demo/bank"
_MINOR = re.compile(r"-?[0-9]{1,18}")
NEEDED = ("id", "account", "date", "direction", "operation", "amount_minor")


class BankCsvError(ValueError):
    """The file is not what the mapping reads; the message names the line."""


class BankHistory:
    """The movements of a file, and the balances that the bank itself recorded."""

    def __init__(self, path: Path, copies: int, clock: Callable[[], datetime]) -> None:
        self._path = path
        self._copies = copies
        self._clock = clock
        self.rows = list(_read(path))
        self.accounts = sorted({row["account"] for row in self.rows})

    def opening(self) -> Iterator[Sent]:
        """Open every account as the bank had it: it let its clients overdraw."""
        for code in ["bank:interest", "bank:fees", *map(_code, self.accounts)]:
            data = {"account": code, "overdraft": "unlimited"}
            yield self._event("account.open.v1", code, data, code)

    def payments(self) -> Iterator[Sent]:
        """Give every movement, `copies` times each: a copy is the same event again, and changes nothing."""
        for copy in range(self._copies):
            for row in self.rows if copy == 0 else reversed(self.rows):
                sent = self._movement(row)
                # Copies go to whatever partition comes: the money is right for any key or none.
                yield sent if copy == 0 else sent._replace(key=None)

    def exact_balances(self) -> dict[str, int]:
        """Give the bank's own last balance (minor units) of each account where the movements add up to it."""
        last_days: dict[str, list[dict[str, str]]] = {}
        for row in self.rows:
            if row.get("bank_balance_is_exact") == "1":
                day = last_days.setdefault(row["account"], [])
                if day and day[0]["date"] < row["date"]:
                    day.clear()
                day.append(row)
        return {_code(account): _closing_balance(day) for account, day in last_days.items()}

    def _movement(self, row: dict[str, str]) -> Sent:
        account, other = _code(row["account"]), _other_side(row)
        debit, credit = (other, account) if row["direction"] == "credit" else (account, other)
        data = {
            "debit": debit,
            "credit": credit,
            "amount": int(row["amount_minor"]),
            "asset": ASSET,
            "reference": f"movement {row['id']}",
            "effective_at": f"{row['date']}T12:00:00Z",
        }
        return self._event("transfer.post.v1", debit, data, row["id"])

    def _event(self, event_type: str, account: str, data: dict[str, Any], name: str) -> Sent:
        if not hasattr(self, "_started_ms"):
            self._started_ms = milliseconds(self._clock())
        body = {
            "specversion": "1.0",
            "id": derived_id(self._started_ms, SOURCE, event_type, name),
            "source": SOURCE,
            "type": event_type,
            "tenant": TENANT,
            "data": data,
        }
        return Sent(record_key(TENANT, account), orjson.dumps(body))


def _closing_balance(day: list[dict[str, str]]) -> int:
    """Find the balance that no other movement of the day starts from: the file does not tell their order."""
    after = Counter(int(row["bank_balance_minor"]) for row in day)
    before = Counter(int(row["bank_balance_minor"]) - _signed(row) for row in day)
    closing = list((after - before).elements())
    return closing[0] if closing else int(day[-1]["bank_balance_minor"])


def _signed(row: dict[str, str]) -> int:
    return int(row["amount_minor"]) if row["direction"] == "credit" else -int(row["amount_minor"])


def _code(account: str) -> str:
    return f"customer:{account}"


def _other_side(row: dict[str, str]) -> str:
    if row.get("purpose") == "statement_fee":
        return "bank:fees"
    if row.get("purpose") == "penalty_interest" or row["operation"] == "bank":
        return "bank:interest"
    if row["operation"].startswith("transfer_"):
        return f"external:bank:{row.get('partner_bank') or 'unknown'}"
    return "external:cash"


def _read(path: Path) -> Iterator[dict[str, str]]:
    try:
        yield from _rows(path)
    except UnicodeDecodeError as error:
        raise BankCsvError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BankCsvError(f"{path} is no whole gzip file: {error}") from error
    except csv.Error as error:
        raise BankCsvError(f"{path} is no CSV: {error}") from error
    except OSError as error:
        raise BankCsvError(f"{path} cannot be read: {error.strerror or error}") from error


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with _opened(path) as file:
        reader = csv.DictReader(file)
        missing = set(NEEDED) - set(reader.fieldnames or ())
        if missing:
            raise BankCsvError(f"{path}: columns are missing: {', '.join(sorted(missing))}")
        for row in reader:
            _check(row, f"{path}:{reader.line_num}")
            yield row


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _check(row: dict[str, str], where: str) -> None:
    if row["direction"] not in ("credit", "debit"):
        raise BankCsvError(f"{where}: direction {row['direction']!r} is neither credit nor debit")
    if not (row["amount_minor"] or "").isdecimal() or int(row["amount_minor"]) <= 0:
        raise BankCsvError(f"{where}: amount_minor {row['amount_minor']!r} is not a positive integer")
    try:
        datetime.strptime(row["date"] or "", "%Y-%m-%d")  # noqa: DTZ007 - a date has no zone
    except ValueError:
        raise BankCsvError(f"{where}: date {row['date']!r} is not YYYY-MM-DD") from None
    if row.get("bank_balance_is_exact") == "1" and not _MINOR.fullmatch(row.get("bank_balance_minor") or ""):
        raise BankCsvError(f"{where}: bank_balance_minor {row.get('bank_balance_minor')!r} is not an integer")
