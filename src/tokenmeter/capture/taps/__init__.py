"""The taps: who is instrumented, and which meter an exchange goes to."""

from __future__ import annotations

from tokenmeter.attribution import current_scope
from tokenmeter.capture.patching import Patch, Patches
from tokenmeter.capture.sink import Sink

_instrumented: list[Sink] = []  # the last one gets what no scope claims


def active_sink() -> Sink | None:
    """Return the meter of the innermost scope if it runs, else of the last `instrument()`."""
    scope = current_scope()
    if scope is not None and scope.meter is not None and not scope.meter.is_shut:
        sink: Sink = scope.meter
        return sink
    return _instrumented[-1] if _instrumented else None


def _patches() -> tuple[Patch, ...]:
    """Load the taps, and the adapters that they will ask, before a user's call needs them."""
    from tokenmeter.capture.taps import (  # here to keep `import tokenmeter` light
        aiohttp,
        botocore,
        httpx,
        lm15,
        requests,
    )
    from tokenmeter.providers import adapters

    adapters()
    return (
        *(
            Patch(library, class_name, "send", make(active_sink))
            for library in httpx.LIBRARIES
            for class_name, make in (
                ("Client", httpx.sync_wrapper),
                ("AsyncClient", httpx.async_wrapper),
            )
        ),
        *(
            Patch(f"{package}.transports", class_name, "stream", make(active_sink))
            for package in lm15.PACKAGES
            for class_name, make in (
                ("StdlibTransport", lm15.sync_wrapper),
                ("StdlibAsyncTransport", lm15.async_wrapper),
            )
        ),
        Patch("requests.sessions", "Session", "send", requests.wrapper(active_sink)),
        Patch("aiohttp.client", "ClientSession", "_request", aiohttp.wrapper(active_sink)),
        Patch("botocore.httpsession", "URLLib3Session", "send", botocore.wrapper(active_sink)),
    )


PATCHES = Patches(_patches)


def instrument(sink: Sink) -> None:
    """Send every recognised exchange of this process to `sink`."""
    _instrumented.append(sink)
    PATCHES.acquire()


def is_instrumented(sink: Sink) -> bool:
    """Whether an `instrument()` of `sink` is in force."""
    return sink in _instrumented


def uninstrument(sink: Sink) -> None:
    """Undo one `instrument()` of `sink`."""
    if sink in _instrumented:
        _instrumented.remove(sink)
        PATCHES.release()
