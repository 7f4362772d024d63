"""How many streams are open: so many may be, and so many of a tenant."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class TooManyStreamsError(Exception):
    """No more streams are opened: for all tenants, or for this one."""

    def __init__(self, *, of_tenant: bool) -> None:
        super().__init__("too many streams of this tenant" if of_tenant else "too many streams")
        self.of_tenant = of_tenant


class OpenStreams:
    """Counts them, by tenant."""

    def __init__(self, streams_max: int, tenant_streams_max: int) -> None:
        self._streams_max = streams_max
        self._tenant_streams_max = tenant_streams_max
        self._open: Counter[int] = Counter()

    def __len__(self) -> int:
        return self._open.total()

    @contextmanager
    def one_more(self, tenant_id: int) -> Iterator[None]:
        """Count a stream of a tenant for as long as it is open. Raises TooManyStreamsError."""
        if self._open[tenant_id] >= self._tenant_streams_max:
            raise TooManyStreamsError(of_tenant=True)
        if len(self) >= self._streams_max:
            raise TooManyStreamsError(of_tenant=False)
        self._open[tenant_id] += 1
        try:
            yield
        finally:
            self._open[tenant_id] -= 1
            if not self._open[tenant_id]:
                del self._open[tenant_id]
