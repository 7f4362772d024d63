"""The event loop that servers and workers run on."""

import asyncio


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Make the fastest loop that there is here."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
