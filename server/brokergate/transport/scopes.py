"""What each RPC needs: one table. A test holds it against the contract's descriptors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from brokergate.domain.access import Scope

HEALTH_CHECK: Final = "/grpc.health.v1.Health/Check"
"""Answered without a token where it asks for the server as a whole."""

_NEEDED: Mapping[Scope, Mapping[str, tuple[str, ...]]] = {
    Scope.READ: {
        "brokergate.v1.OrderService": ("PreviewOrder", "GetOrder", "ListOrders", "ListFills"),
        "brokergate.v1.PositionService": ("ListPositions", "GetPosition"),
        "brokergate.v1.AccountService": ("ListAccounts", "GetAccount", "ListBalances", "ListLedgerEntries"),
        "brokergate.v1.EventService": ("StreamEvents", "StreamFills"),
        "brokergate.v1.BrokerService": ("ListBrokers", "GetBroker"),
        "brokergate.v1.InstrumentService": ("ListInstruments", "GetInstrument"),
        "brokergate.v1.MarketDataService": ("GetQuote", "StreamMarketData"),
        "brokergate.v1.TradingControlService": ("GetTradingState",),
        "grpc.health.v1.Health": ("Check", "Watch"),
        "grpc.reflection.v1.ServerReflection": ("ServerReflectionInfo",),
        "grpc.reflection.v1alpha.ServerReflection": ("ServerReflectionInfo",),
    },
    Scope.TRADE: {
        "brokergate.v1.OrderService": (
            "PlaceOrder",
            "ReplaceOrder",
            "CancelOrder",
            "CancelAllOrders",
            "BatchPlaceOrders",
            "BatchCancelOrders",
            "StreamOrderEntry",
        ),
        "brokergate.v1.PositionService": ("ClosePosition",),
    },
    Scope.ADMIN: {
        "brokergate.v1.BrokerService": ("ReconnectBroker",),
        "brokergate.v1.TradingControlService": (
            "EmergencyStop",
            "ResumeTrading",
            "ListDiscrepancies",
            "ClearFreeze",
            "ResolveOrder",
            "ListAuditRecords",
        ),
        "brokergate.v1.SimulatorService": (
            "CreatePaperAccount",
            "ResetPaperAccount",
            "PushMarketData",
            "ControlTape",
            "SetFaults",
        ),
        # Shows the addresses of everybody who is connected.
        "grpc.channelz.v1.Channelz": (
            "GetTopChannels",
            "GetServers",
            "GetServer",
            "GetServerSockets",
            "GetChannel",
            "GetSubchannel",
            "GetSocket",
        ),
    },
}

SCOPES: Final[Mapping[str, Scope]] = {
    f"/{service}/{method}": scope
    for scope, services in _NEEDED.items()
    for service, methods in services.items()
    for method in methods
}
"""The scope that each method (`/service/Method`) needs. A method that is not in here is not served."""
