"""What the provider does about a call: book, tell by webhook, wait, answer, as its script has it."""

import asyncio
from collections import Counter, defaultdict
from typing import Any

from aiohttp import web

from streams.embedded.provider import faults
from streams.embedded.provider.book import Line
from streams.embedded.provider.operations import Asked, Now, Operations
from streams.embedded.provider.script import (
    About,
    Call,
    Rule,
    Script,
    Webhooks,
    delay_s,
    draw,
    form_of,
    rule_for,
)
from streams.embedded.provider.webhooks import WebhookSender

TELLING = Script(rules=(Rule(do="accept", webhooks=Webhooks()),))
"""Accept everything, and tell of it by a webhook as well."""
_DECIDES = ("accept", "decline", "pend")


class Actor:
    """One provider with its script. Calls are counted by what was done about them."""

    def __init__(
        self, operations: Operations, sender: WebhookSender, now: Now, webhook_url: str | None = None
    ) -> None:
        self._operations = operations
        self._sender = sender
        self._now = now
        self._webhook_url = webhook_url
        self._script, self._set_at = Script() if webhook_url is None else TELLING, now()
        self._asked: defaultdict[tuple[Call, str], int] = defaultdict(int)
        self._tasks: set[asyncio.Task[Line]] = set()
        self.counts: Counter[str] = Counter()

    @property
    def script(self) -> Script:
        return self._script

    def follow(self, script: Script, set_at: float) -> None:
        """Follow a script whose time began at a moment; how often each key was asked is forgotten."""
        self._script, self._set_at = script, set_at
        self._asked.clear()

    async def move(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        """Answer a charge or a refund, which was checked for shape."""
        rule = self._rule(self._about(asked))
        line = await self._operations.find(asked.key)
        if line is None and (rule.do in _DECIDES or rule.booked):
            line = await self._booked(asked, rule)
        if line is not None and _content(line) != asked:
            return web.json_response({"error": "key_reused"}, status=409)
        await asyncio.sleep(delay_s(self._script, rule, asked.key))
        if rule.do == "refuse" and line is None:
            return _answer(verdict(asked, state="declined", reason=rule.reason), 422)
        return await self._answer(request, rule, line, verdict(asked, state="accepted", reference="none"))

    async def status(self, request: web.Request, key: str) -> web.StreamResponse:
        """Answer what became of a key."""
        line = await self._operations.find(key)
        tenant, account, reference = (line.tenant, line.account, line.reference) if line else ("", "", "")
        rule = self._rule(About("status", key, tenant, account, reference))
        await asyncio.sleep(delay_s(self._script, rule, key))
        if rule.do == "pend" and line is not None:
            return _answer({"key": key, "state": "pending"}, 202)
        if rule.do in (*_DECIDES, "refuse"):
            return self._told(key, line, declined=200)
        return await self._answer(request, rule, line, {"key": key, "state": "not_found"})

    async def _booked(self, asked: Asked, rule: Rule) -> Line:
        if not rule.late_s and rule.webhooks is None:
            return await self._operations.book(asked, rule)
        # A task of its own, for a caller who does not wait takes nothing back.
        task = asyncio.create_task(self._book_and_tell(asked, rule))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _book_and_tell(self, asked: Asked, rule: Rule) -> Line:
        await asyncio.sleep(rule.late_s)
        line = await self._operations.book(asked, rule)
        await self._tell(rule, line)
        return line

    def _rule(self, about: About) -> Rule:
        counted = (about.call, about.key)
        rule = rule_for(
            self._script, about, age_s=self._now() - self._set_at, asked=self._asked.get(counted, 0)
        )
        if any(each.times is not None for each in self._script.rules):
            self._asked[counted] += 1
        self.counts[f"{about.call} {rule.do}{' booked' if rule.booked else ''}"] += 1
        return rule

    def _about(self, asked: Asked) -> About:
        charge = self._operations.charge_named(asked.charge) if asked.charge else None
        account = charge.account if charge else asked.account
        return About(
            "refund" if asked.charge else "charge", asked.key, asked.tenant, account, asked.reference
        )

    async def _answer(
        self, request: web.Request, rule: Rule, line: Line | None, otherwise: dict[str, Any]
    ) -> web.StreamResponse:
        """Fail as the rule has it, else tell what is in the book."""
        match rule.do:
            case "error":
                return web.json_response({"error": "internal"}, status=rule.code)
            case "reset":
                return faults.reset(request)
            case "hang":
                return await faults.hang(request)
            case "throttle" | "unavailable":
                return faults.put_off(rule)
            case "redirect":
                return faults.redirected()
            case "malformed":
                key = line.key if line else str(otherwise["key"])
                said = verdict_of(line) if line else otherwise
                return await faults.malformed(request, form_of(self._script, rule, key), said)
            case _:
                return self._told(str(otherwise["key"]), line, declined=422)

    def _told(self, key: str, line: Line | None, *, declined: int) -> web.Response:
        if line is None:
            return _answer({"key": key, "state": "not_found"}, 404)
        if line.final_at > self._now():
            return _answer({"key": key, "state": "pending"}, 202)
        return _answer(verdict_of(line), declined if line.state == "declined" else 200)

    async def _tell(self, rule: Rule, line: Line) -> None:
        url, wanted = self._script.webhook_url or self._webhook_url, rule.webhooks
        if url is None or wanted is None:
            return
        copies = range(wanted.copies)
        if wanted.when == "before" and await self._sender.send(url, line):
            copies = copies[1:]
        for copy in copies:
            spread = wanted.within_s * draw(self._script.seed, f"webhook {copy}", line.key)
            self._sender.send_later(url, line, line.final_at - line.booked_at + spread)


def verdict(asked: Asked, **said: str) -> dict[str, Any]:
    """Write an answer about a request."""
    return {"key": asked.key, "amount": asked.amount, "asset": asked.asset, **said}


def verdict_of(line: Line) -> dict[str, Any]:
    """Write the answer that a line of the book gives."""
    said = {"reference": line.named} if line.state == "accepted" else {"reason": line.reason, "detail": ""}
    return {"key": line.key, "amount": line.amount, "asset": line.asset, "state": line.state, **said}


def _content(line: Line) -> Asked:
    return Asked(
        key=line.key,
        tenant=line.tenant,
        payment=line.payment,
        amount=line.amount,
        asset=line.asset,
        account=line.account,
        reference=line.reference,
        charge=line.charge,
    )


def _answer(body: dict[str, Any], status: int) -> web.Response:
    return web.json_response(body, status=status)
