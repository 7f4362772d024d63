"""Whether a provider can be called as its settings say: asked for the status of a key that it cannot know."""

from typing import NamedTuple

import msgspec

from ledger.adapters.provider.calling import Caller, NoReplyError, NotSentError, open_session
from ledger.adapters.provider.rules import ProviderRules
from ledger.adapters.provider.wire import Reply
from ledger.application.ports import Clock


class Checked(NamedTuple):
    """What came of it, as one word for programs and a sentence for people."""

    found: str
    detail: str

    @property
    def ok(self) -> bool:
        return self.found == "good"


class _State(msgspec.Struct, frozen=True):
    key: str
    state: str


async def check_provider(rules: ProviderRules, key: str, clock: Clock) -> Checked:
    """Ask for the status of `key`, which nobody ever used; moves no money."""
    async with open_session(rules) as session:
        try:
            reply = await Caller(rules, session, clock).get(f"/v1/operations/{key}")
        except NotSentError as fault:
            cause = fault.__cause__ or fault
            return Checked("unreachable", f"No connection to {rules.url}: {cause}.")
        except NoReplyError as fault:
            return Checked("no_answer", f"It was asked, and no whole answer came: {fault}.")
    return judged_reply(reply, key)


def judged_reply(reply: Reply, key: str) -> Checked:
    """Judge the answer about a key that nobody ever used."""
    if reply.code in (401, 403):
        told = f"It answers {reply.code}: it does not take our signature. Both sides need the same secret and time."
        return Checked("signature_refused", told)
    if reply.code in (429, 503):
        return Checked("busy", f"It answers {reply.code}: it is reached, and wants to be asked later.")
    if reply.code == 404 and _says_not_found(reply.body, key):
        return Checked("good", "It is reached, takes our signature, and answers as it should.")
    return Checked("odd_answer", f"It answers {reply.code}, and not that it does not know the key.")


def _says_not_found(body: bytes, key: str) -> bool:
    try:
        return msgspec.json.decode(body, type=_State) == _State(key, "not_found")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
