"""Composes and runs one replay: into memory, into a schema of its own, or into the live books."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

import msgspec

from ledger.adapters.postgres.dead_letters import PostgresDeadLetters
from ledger.adapters.system import new_event_id
from ledger.application.compare_books import View, digest_both
from ledger.application.replaying import Precedents, Reached, Replay
from ledger.config import Settings
from ledger.domain.replaying import DecideAgain
from streams.dead_letters import kept_letters
from streams.embedded.addresses import find_kafka, find_postgres
from streams.replay.alone import alone_in
from streams.replay.covering import (
    CLOCKS_APART,
    concerns,
    covers,
    left_since,
    own_since,
    source_in,
    to_go_on,
    told_of,
)
from streams.replay.decided import decided
from streams.replay.faults import NotReplayableError
from streams.replay.letters import closing_letters, finding_letters, holding_letters
from streams.replay.plan import Selection
from streams.replay.read import Decoder
from streams.replay.run import BelowHorizonError, Progress, Replayer, Stage
from streams.replay.side_by_side import compare_schemas, to_read
from streams.replay.sources import beginnings, lanes_of, refuse_forgetful, source_of
from streams.replay.stages import (
    Publishing,
    RealBooks,
    WrittenDown,
    make_schema,
    of_schema,
    overlay_of,
    posting_to,
    precedents_of,
    replays_stand,
    schema_stands,
)
from streams.replay.unnoted import with_unnoted
from streams.replay.wish import Proof, Report, Source, Wish

CHANGED_SHOWN_MAX = 1000
INTO_BATCHES = 2
"""How many batches of a worker are one of a rebuild: nobody waits for its accounts, and each is locked less often."""

Tell = Callable[[str], None]
"""Told in a sentence what goes on."""
Begun = tuple[Replay, Source, Any]
"""A replay as it is written down, what it reads, and the lanes of that."""
BegunLive = tuple[Replay, Source, Any, Precedents | None]
"""The same, and what was published of it, if it posts what the books have lost."""


class Phase(StrEnum):
    """How far a session came."""

    PLANNED = "planned"
    BEGUN = "begun"
    """Its replay is written down, if it is one that is."""
    DONE = "done"
    """All was replayed; only a proof may be missing."""


class Session:
    """One replay over the books that are set, or that `ledger up` started."""

    def __init__(
        self, settings: Settings, wish: Wish, progress: Progress | None = None, tell: Tell = lambda told: None
    ) -> None:
        self._settings = settings
        self._wish = wish
        self._progress = progress
        self._tell = tell
        self._dsn = find_postgres(settings)
        self.phase = Phase.PLANNED

    async def run(self) -> Report:
        """Replay; raises NotReplayableError, BelowHorizonError, and what services that are away raise."""
        if self._wish.target == "dry-run":
            return await self._dry()
        if self._wish.target == "into":
            return await self._into()
        return await self._live()

    def _replayer(self, source: Source, lanes: Any, stage: Stage, replay: Replay | None = None) -> Replayer:
        settings = self._settings
        return Replayer(
            lanes,
            stage,
            Decoder(settings.record_bytes_max, settings.dead_letter_bytes_max),
            Selection(source.filters),
            batch_max=settings.batch_records_max * (INTO_BATCHES if self._wish.target == "into" else 1),
            rate=self._wish.rate,
            state=replay.state if replay else None,
            counts=replay.counts if replay else None,
            progress=self._progress,
        )

    # In memory

    async def _dry(self) -> Report:
        async with (
            overlay_of(self._settings, self._dsn) as (overlay, peek),
            kept_letters(self._settings) as letters,
        ):
            positions = await peek.positions(self._settings.payments_topic)
            source, lanes = await source_of(self._wish, self._settings, positions, letters)
            stage = Stage(
                posting_to(overlay, self._settings, None),
                there=peek,
                find_letters=finding_letters(letters, source),
                letters=False,
            )
            told = await self._replayer(source, lanes, stage).run()
            changed = overlay.changed()
            shown = [
                {"before": msgspec.to_builtins(before), "after": msgspec.to_builtins(after)}
                for before, after in changed[:CHANGED_SHOWN_MAX]
            ]
            return Report(
                target="dry-run",
                name=None,
                source=source,
                told=told,
                changed=shown,
                changed_count=len(changed),
            )

    # Into a schema of its own

    async def _into(self) -> Report:
        name = await self._schema()
        target = of_schema(self._settings, name)
        async with alone_in(self._dsn, name) as run, RealBooks.open(target, self._dsn) as books:
            found = await self._unfinished_into(books, name) if self._wish.resume else None
            source, lanes = found[1:] if found else await self._planned_into()
            judge = DecideAgain()
            async with self._precedents(source, lanes, found[0].state if found else {}) as precedents:
                # Nothing is made for a replay that is refused.
                await make_schema(target, self._dsn)
                replay = found[0] if found else await self._begin(books, source)
                topic = None if source.filters.narrow else source.topic
                if topic is not None:
                    await books.store.begin(topic, {at: first for at, (first, _) in source.lanes.items()})
                stage = Stage(
                    posting_to(books.store, self._settings, judge),
                    precedents=precedents,
                    judge=judge,
                    checkpoints=WrittenDown(
                        books, replay.id, run, source, replay.state, moves=topic is not None
                    ),
                    in_the_past=True,
                    letters=topic is not None,
                )
                told = await self._replayer(source, lanes, stage, replay).run()
        self.phase = Phase.DONE
        proof, differences = await self._proof(source, target)
        return Report(
            target="into", name=name, source=source, told=told, proof=proof, differences=differences
        )

    async def _schema(self) -> str:
        name = self._wish.name or ""
        if name == self._settings.postgres_schema:
            raise NotReplayableError(f"schema {name} is that of the live books.")
        stands = await schema_stands(self._dsn, name)
        if stands and not self._wish.resume:
            raise NotReplayableError(
                f"There is a schema {name} already. --resume goes on with a replay into it that was stopped; "
                "another name begins a new one."
            )
        if not stands and self._wish.resume:
            raise NotReplayableError(f"There is no schema {name} to go on with.")
        return name

    async def _unfinished_into(self, books: RealBooks, name: str) -> Begun:
        """Find what was begun in that schema: nothing is made in books that no replay has made."""
        found = await self._unfinished(books, "into") if await replays_stand(self._dsn, name) else None
        if found is None:
            raise NotReplayableError(
                f"No replay into {name} was begun, so there is none to go on with. Another name begins one."
            )
        return found

    async def _planned_into(self) -> tuple[Source, Any]:
        async with kept_letters(self._settings) as letters, self._snapshot() as standings:
            positions = await standings.positions(self._settings.payments_topic)
            source, lanes = await source_of(self._wish, self._settings, positions, letters)
            if source.whole and source.outcomes == "books":
                source = msgspec.structs.replace(source, expected=await digest_both(standings))
        return source, lanes

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[Any]:
        async with to_read(self._settings, self._dsn) as books, books.snapshot() as standings:
            yield standings

    async def _proof(self, source: Source, target: Settings) -> tuple[Proof | None, Mapping[str, Any] | None]:
        if source.expected is None:
            return None, None
        async with to_read(target, self._dsn) as books, books.snapshot() as standings:
            proof = Proof(source.expected, await digest_both(standings))
        if proof.same:
            return proof, None
        schemas = self._settings.postgres_schema, target.postgres_schema
        comparison = await compare_schemas(self._settings, *schemas)
        if comparison.same:
            comparison = await compare_schemas(self._settings, *schemas, View.ENTRIES)
        return proof, comparison.as_dict()

    # Live

    async def _live(self) -> Report:
        # Two at a time would publish everything twice.
        async with alone_in(self._dsn, self._settings.postgres_schema) as run, AsyncExitStack() as stack:
            books = await stack.enter_async_context(RealBooks.open(self._settings, self._dsn))
            # What is read of dead letters is read while they are replayed.
            letters = await stack.enter_async_context(kept_letters(self._settings))
            begun = await self._begun_live(stack, books, letters)
            replay, source, lanes, _ = begun
            stage = await self._live_stage(stack, books, letters, begun, run)
            try:
                told = await self._replayer(source, lanes, stage, replay).run()
            except BelowHorizonError:
                # It can never go on, and what it posted before is published.
                if not self._wish.resume and source.own_since is None:
                    await books.records.end([replay.id], datetime.now(UTC))
                raise
            await books.records.end(source.takes_over, datetime.now(UTC))
            self.phase = Phase.DONE
            return Report(target="live", name=None, source=source, told=told)

    async def _live_stage(
        self,
        stack: AsyncExitStack,
        books: RealBooks,
        letters: PostgresDeadLetters,
        begun: BegunLive,
        run: int,
    ) -> Stage:
        replay, source, _, precedents = begun
        publish = await stack.enter_async_context(Publishing.open(self._settings, find_kafka(self._settings)))
        judge = DecideAgain() if source.since_books else None
        checkpoints = WrittenDown(books, replay.id, run, source, replay.state, moves=source.since_books)
        settle = checkpoints.note if source.since_books else None
        of_letters = source.kind == "dead-letters"
        ensure = partial(books.records.ensure_alone, run)
        return Stage(
            posting_to(books.store, self._settings, judge),
            there=books.precedents,
            precedents=precedents,
            judge=judge,
            publish=publish,
            # What came by no topic would be missing in every rebuild from it.
            send=publish.send if source.kind == "file" else None,
            checkpoints=checkpoints,
            own_since=own_since(source, replay, resumed=self._wish.resume),
            own_records=of_letters,
            find_letters=finding_letters(letters, source),
            hold=holding_letters(letters) if of_letters else nullcontext,
            settle=closing_letters(letters, self._wish.by, self._wish.why, ensure) if of_letters else settle,
            horizon=None if source.since_books else timedelta(days=self._settings.dedupe_horizon_days),
            undecided_at=datetime.now(UTC) + CLOCKS_APART if source.since_books else None,
            letters=source.since_books,
        )

    async def _begun_live(
        self, stack: AsyncExitStack, books: RealBooks, letters: PostgresDeadLetters
    ) -> BegunLive:
        if self._wish.resume:
            found = await self._unfinished(books, "live")
            if found is None:
                raise NotReplayableError("No replay into the live books was stopped before its end.")
            return *found, await self._published(stack, found[1], found[2], found[0].state)
        left = await books.records.unfinished("live")
        since = self._left_since(left)
        async with self._snapshot() as standings:
            positions = await standings.positions(self._settings.payments_topic)
        source, lanes = await source_of(self._wish, self._settings, positions, letters)
        published = await self._published(stack, source, lanes, {})
        if published is not None:
            source = await with_unnoted(source, books.precedents, published, self._settings)
            lanes = lanes_of(source, self._settings)
        begins = await beginnings(self._wish, self._settings)
        taken = [each.id for each in left if covers(source, source_in(each), each.state, begins)]
        source = msgspec.structs.replace(source, own_since=since, takes_over=taken)
        return await self._begin(books, source), source, lanes, published

    async def _published(
        self, stack: AsyncExitStack, source: Source, lanes: Any, state: Mapping[int, Reached]
    ) -> Precedents | None:
        """Read what was published of that which the books have lost; None of any other source."""
        if not source.since_books:
            return None
        return await stack.enter_async_context(decided(source, lanes, state, self._settings))

    def _left_since(self, left: Sequence[Replay]) -> datetime | None:
        """Say since when stopped replays may have posted what they did not publish; raises NotReplayableError."""
        left = [each for each in left if concerns(self._wish, source_in(each))]
        if left and not self._wish.anew:
            raise NotReplayableError(
                f"The replay that {left[0].by} began at {left[0].started_at:%Y-%m-%dT%H:%M:%SZ} was stopped before "
                "its end, and may have posted what it has not published. --resume goes on with it; --anew begins "
                "this one nevertheless, and publishes what that one left where this one reads it."
            )
        return left_since(left)

    # Both

    async def _begin(self, books: RealBooks, source: Source) -> Replay:
        wish = self._wish
        replay = Replay(
            new_event_id(),
            "into" if wish.target == "into" else "live",
            msgspec.to_builtins(source, str_keys=True),
            wish.by,
            wish.why,
            datetime.now(UTC),
        )
        # Whoever is stopped meanwhile may have written it down.
        self.phase = Phase.BEGUN
        return await books.records.begin(replay)

    async def _unfinished(self, books: RealBooks, target: Any) -> Begun | None:
        unfinished = await books.records.unfinished(target)
        if not unfinished:
            await self._refuse_ended(books, target)
            return None
        replay = to_go_on(self._wish, unfinished)
        if replay is None:
            raise NotReplayableError(
                f"No such replay was stopped before its end. One that was is {told_of(unfinished[0])}."
            )
        source = source_in(replay)
        refuse_forgetful(source)
        self._tell(f"Going on with {told_of(replay)}.")
        self.phase = Phase.BEGUN
        return replay, source, lanes_of(source, self._settings)

    async def _refuse_ended(self, books: RealBooks, target: Any) -> None:
        newest = await books.records.newest(target)
        if newest is not None:
            raise NotReplayableError(
                f"The newest replay came to its end at {newest.ended_at:%Y-%m-%dT%H:%M:%SZ}."
            )

    @asynccontextmanager
    async def _precedents(
        self, source: Source, lanes: Any, state: Mapping[int, Reached]
    ) -> AsyncIterator[Precedents]:
        if source.outcomes != "books":
            async with decided(source, lanes, state, self._settings) as index:
                yield index
        else:
            async with precedents_of(self._settings, self._dsn) as precedents:
                yield precedents
