"""What goes wrong on purpose on a paper account, as the journal keeps it: JSON, in a setting of the account."""

from __future__ import annotations

import json
from decimal import Decimal

from brokergate.domain.faults import Fault, FaultKind, FaultPlan
from brokergate.domain.money import format_decimal
from brokergate.ports.broker import AbstractBroker, SimulatedVenue
from brokergate.ports.journal import Journal

FAULTS = "faults"
"""The setting."""
CONFIGURED = "faults_configured"
"""What the configuration said when it was set: where that says otherwise now, it counts."""


def to_setting(plan: FaultPlan) -> str:
    """As it is kept."""
    faults = [[fault.kind.name, format_decimal(fault.rate_percent), fault.delay_ns] for fault in plan.faults]
    return json.dumps({"faults": faults, "since_ns": plan.since_ns})


def from_setting(text: str) -> FaultPlan:
    """What `to_setting` wrote."""
    kept = json.loads(text)
    faults = [Fault(FaultKind[kind], Decimal(rate), delay_ns) for kind, rate, delay_ns in kept["faults"]]
    return FaultPlan(tuple(faults), kept["since_ns"])


def said(plan: FaultPlan) -> str:
    """In words, for people."""
    words = [
        f"{fault.kind.name} {format_decimal(fault.rate_percent)} %"
        + (f" {fault.delay_ns / 1e9:g} s" if fault.delay_ns else "")
        for fault in plan.faults
    ]
    return ", ".join(words) or "none"


def put_in_force(journal: Journal, account_id: str, broker: AbstractBroker) -> str:
    """Puts in force what SetFaults said in an earlier run, before the account is connected; gives what the
    configuration says."""
    if not isinstance(broker, SimulatedVenue):
        return ""
    configured = said(broker.faults)
    kept = journal.account_setting(account_id, FAULTS)
    if kept is not None and journal.account_setting(account_id, CONFIGURED) == configured:
        broker.set_faults(from_setting(kept))
    return configured
