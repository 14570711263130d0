"""What messages say, in English or, where TWS is set to another language, in that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.emulators.tws.venue import Tws

USUAL: Mapping[int, str] = {
    100: "Max rate of messages per second has been exceeded.",
    104: "Cannot modify a filled order.",
    105: "Order being modified does not match original order.",
    110: "The price does not conform to the minimum price variation for this contract.",
    161: "Cancel attempted when order is not in a cancellable state.  Order permId =1700000001",
    162: "Historical Market Data Service error message:API historical data query cancelled",
    200: "No security definition has been found for the request",
    201: "Order rejected - reason:The exchange does not accept it.",
    202: "Order Canceled - reason:",
    321: "Error validating request.-'b6' : cause - Please check the request",
    354: "Requested market data is not subscribed.",
    399: "Order Message:\nWarning: your order will not be placed at the exchange until the next trading day",
    404: "Order held while securities are located.",
    1100: "Connectivity between IB and Trader Workstation has been lost.",
    1101: "Connectivity between IB and Trader Workstation has been restored - data lost.",
    1102: "Connectivity between IB and Trader Workstation has been restored - data maintained.",
    2103: "Market data farm connection is broken:usfarm",
    2104: "Market data farm connection is OK:usfarm",
    2105: "HMDS data farm connection is broken:ushmds",
    2106: "HMDS data farm connection is OK:ushmds",
    2108: "Market data farm connection is inactive but should be available upon demand.usfarm",
    2110: "Connectivity between Trader Workstation and server is broken. It will be restored automatically.",
    10148: "OrderId 1 that needs to be cancelled cannot be cancelled, state: PendingCancel.",
    10311: "This order will be directly routed to NYSE. Direct routed orders may result in higher trade fees.",
    10349: "Order TIF was set to DAY based on order preset.",
}
"""By code (tws-api, "Message Codes")."""
_GERMAN: Mapping[int, str] = {
    103: "Doppelte Auftragsnummer",
    104: "Ein ausgeführter Auftrag kann nicht geändert werden.",
    110: "Der Preis entspricht nicht der kleinsten Preisänderung für diesen Kontrakt.",
    200: "Für die Anfrage wurde keine Wertpapierdefinition gefunden",
    201: "Auftrag abgelehnt - Grund:Ihre verfügbaren Mittel reichen nicht aus.",
    202: "Auftrag storniert - Grund:",
    321: "Fehler bei der Prüfung der Anfrage.-'b6' : Ursache - Die API ist im Nur-Lese-Modus.",
    326: "Verbindung nicht möglich, da die Client-ID bereits verwendet wird.",
    354: "Angeforderte Marktdaten sind nicht abonniert.",
    399: "Auftragsmeldung:\nWarnung: Ihr Auftrag wird erst am nächsten Handelstag an die Börse geleitet",
    10147: "Der zu stornierende Auftrag wurde nicht gefunden.",
    10148: "Der Auftrag kann nicht storniert werden.",
}


class Texts:
    """See the module."""

    def __init__(self, venue: Tws) -> None:
        self._venue = venue

    def of(self, code: int) -> str:
        """What is usually said with a code."""
        return USUAL.get(code, f"Error {code}")

    def shown(self, code: int, text: str) -> str:
        """A text in the language of TWS."""
        if self._venue.faults.take({"localised"}):
            return _GERMAN.get(code, f"Meldung {code}")
        return text
