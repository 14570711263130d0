"""When a paper account's instruments trade: the settings of its calendars."""

from __future__ import annotations

from enum import StrEnum

from brokergate.config.section import Section
from brokergate.domain.instruments import InstrumentKind
from brokergate.sim.sessions import Hours, Outside


class CalendarName(StrEnum):
    """The calendars that there are."""

    ALWAYS = "always"
    WEEK = "week"
    XNYS = "XNYS"
    XNYS_EXTENDED = "XNYS_EXTENDED"


class HoursConfig(Section):
    """When instruments trade, by kind: which calendar (`always`, round the clock, days end at midnight UTC; `week`,
    Sunday 17:00 to Friday 17:00 New York; `XNYS`, New York's stocks 09:30 to 16:00 with holidays and early closes;
    `XNYS_EXTENDED`, the same days 04:00 to 20:00). Perpetuals trade round the clock. DAY orders end with the calendar's
    day."""

    spot: CalendarName = CalendarName.ALWAYS
    """Of pairs such as BTC/USDT. Default `always`."""
    forex: CalendarName = CalendarName.WEEK
    """Of pairs of states' currencies. Default `week`."""
    equity: CalendarName = CalendarName.XNYS
    """Of stocks. Default `XNYS`."""
    outside: Outside = Outside.FOLLOW
    """What becomes of orders that come while the calendar is closed. `follow`: refused where the feed has told nothing
    since the session ended, and nothing for a minute; a market that goes on telling trades, as the synthetic one does
    by night. `refuse`: refused, and nothing fills until the opening. `ignore`: taken. Default `follow`."""

    def hours(self) -> Hours:
        """As the venue takes them."""
        kinds = {
            InstrumentKind.SPOT: self.spot,
            InstrumentKind.FOREX: self.forex,
            InstrumentKind.EQUITY: self.equity,
        }
        return Hours(kinds, self.outside)
