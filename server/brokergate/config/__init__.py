"""The configuration: YAML files with variables, laid over one another, as pydantic models that say what is wrong.

`load_config` reads it, `GatewayConfig` is what comes out; `docs/configuration.md` is written from the models.
"""

from brokergate.config.accounts import (
    AccountConfig,
    ConnectionConfig,
    Durability,
    MoneyConfig,
    Ownership,
    RiskLimits,
    TradingConfig,
    WhenDisconnected,
)
from brokergate.config.gateway import GatewayConfig, Profile, gateway_model
from brokergate.config.loading import EMBEDDED, load_config
from brokergate.config.overrides import Overrides
from brokergate.config.policy import policy_of
from brokergate.config.problems import ConfigError, Problem
from brokergate.config.routes import missing_accounts
from brokergate.config.section import Amount, Count, Flag, Identifier, Section, Text
from brokergate.config.server import (
    ClientCertificates,
    LimitsConfig,
    ListenerConfig,
    LogConfig,
    LogFormat,
    LogLevel,
    RetentionConfig,
    ServerConfig,
    TlsConfig,
    is_loopback,
    split_address,
)

__all__ = [
    "EMBEDDED",
    "AccountConfig",
    "Amount",
    "ClientCertificates",
    "ConfigError",
    "ConnectionConfig",
    "Count",
    "Durability",
    "Flag",
    "GatewayConfig",
    "Identifier",
    "LimitsConfig",
    "ListenerConfig",
    "LogConfig",
    "LogFormat",
    "LogLevel",
    "MoneyConfig",
    "Overrides",
    "Ownership",
    "Problem",
    "Profile",
    "RetentionConfig",
    "RiskLimits",
    "Section",
    "ServerConfig",
    "Text",
    "TlsConfig",
    "TradingConfig",
    "WhenDisconnected",
    "gateway_model",
    "is_loopback",
    "load_config",
    "missing_accounts",
    "policy_of",
    "split_address",
]
