"""Why there is no connection to a TWS, and the way out. TWS itself says little: it closes, or is silent."""

from __future__ import annotations

import os

from brokergate.adapters.connection.errors import reason_of
from brokergate.adapters.ibkr.errors import Asked, Means, meaning
from brokergate.adapters.ibkr.frames import ErrorShown
from brokergate.domain.errors import BrokerError, FinalError, TemporaryConnectionError

CLIENTS = 32
"""That a TWS takes at once (tws-api/connection.html)."""


def why(
    error: BaseException,
    place: str,
    client_id: int,
    timeout_s: float,
    said: ErrorShown | None,
    *,
    reached: bool,
    heard: bool,
    held: bool,
) -> BrokerError:
    """What `error` of connecting to `place` means. `said` is TWS's last message; `reached`, whether somebody took the
    connection; `heard`, whether anything came over it; `held`, whether TWS ever took this client id from here."""
    if said is not None and meaning(said.code, said.text, Asked.NOTHING).means is Means.CLIENT_ID:
        problem = (
            f"TWS at {place} has another connection with the client id {client_id} (326); give every program a "
            "client_id of its own. One that was cut off may take TWS a minute to forget"
        )
        # After a loss TWS may hold on to the connection that was: another attempt finds it gone.
        return (TemporaryConnectionError if held else FinalError)(problem, code="326")
    if said is not None and meaning(said.code, said.text, Asked.NOTHING).means is not Means.NOTICE:
        text = f"TWS at {place} ends the connection: {said.text[:200]} ({said.code})"
        return TemporaryConnectionError(text, code=str(said.code))
    problem = ""
    if isinstance(error, TimeoutError) and not reached:
        problem = (
            f"nothing answers at {place} in {timeout_s:g} s; see that host and port are those of TWS's API settings, "
            "and that no firewall is between"
        )
    elif isinstance(error, TimeoutError) and not heard:
        problem = (
            f"TWS at {place} took the connection and says nothing in {timeout_s:g} s; it may wait for a person (a "
            f"dialog, a login), or have its {CLIENTS} clients"
        )
    elif isinstance(error, TimeoutError):
        problem = f"TWS at {place} did not name its accounts in {timeout_s:g} s; is it logged in?"
    elif reached:
        problem = (
            f"TWS at {place} takes connections and closes them; enable its API (Settings, API, 'Enable ActiveX and "
            "Socket Clients'), and add this machine to its trusted IPs where it is another one's"
        )
    else:
        number = error.errno if isinstance(error, OSError) else None
        reason = os.strerror(number) if number is not None and number > 0 else reason_of(error)
        problem = (
            f"no TWS or IB Gateway at {place} ({reason}); start it, log in, enable its API, and see that host and port "
            "are those of its API settings"
        )
    return TemporaryConnectionError(problem)
