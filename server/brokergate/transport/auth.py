"""Who calls: bearer tokens, client certificates, and nobody in particular on a loopback without tokens.

The order: a bearer token if the call brings one; else the certificate of an mTLS listener, whose subject's common name
is the principal's name; else, where no token was ever made and the caller is on this machine, `anonymous` with every
right. A token that is wrong is refused, whatever else the call could show.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final, Protocol

import grpc

from brokergate.domain.access import Principal, Scope
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.ports.clock import Clock
from brokergate.transport.scopes import HEALTH_CHECK, SCOPES
from brokergate.transport.settings import TransportSettings
from brokergate.transport.status import refuse

ANONYMOUS: Final = Principal("anonymous", Scope.ADMIN)
"""Everybody, on a loopback listener where no token was ever made."""

MAX_CACHED_TOKENS: Final = 1024
MAX_TOKEN_LENGTH: Final = 512

Handler = Any
"""A `grpc.RpcMethodHandler`; its stub knows only the synchronous shapes."""


class Authenticator(Protocol):
    """The tokens, as `brokergate.tokens` keeps them."""

    @property
    def required(self) -> bool:
        """Whether a token was ever made; revoking the last one does not open the gateway again."""

    def authenticate(self, token: str) -> Principal:
        """Whose token it is, compared in constant time. Raises GatewayError TOKEN_INVALID, TOKEN_EXPIRED or
        TOKEN_REVOKED."""

    def is_active(self, name: str) -> bool:
        """Whether the token of this name still exists and is not revoked."""

    def refresh(self) -> bool:
        """Reads the tokens again if their file has changed; whether it had."""


class NoTokens:
    """An Authenticator for a gateway without tokens."""

    required = False

    def authenticate(self, token: str) -> Principal:
        """Knows none."""
        raise GatewayError(ErrorReason.TOKEN_INVALID, "the bearer token is not known to this gateway")

    def is_active(self, name: str) -> bool:
        """None."""
        return False

    def refresh(self) -> bool:
        """Never."""
        return False


_caller: ContextVar[tuple[Principal | GatewayError, str]] = ContextVar("caller")
"""Who made the call that this task serves, and the `user-agent` that it came with."""


def current_principal() -> Principal:
    """Who made the call that this task serves. Raises GatewayError where nobody proved to be anybody, which only a
    health check gets to see."""
    who = _caller.get()[0]
    if isinstance(who, GatewayError):
        raise who
    return who


def current_user_agent() -> str:
    """What the client of the call that this task serves calls itself, as it came; '' where it says nothing."""
    return _caller.get()[1]


def _user_agent(metadata: Sequence[tuple[str, str | bytes]]) -> str:
    for key, value in metadata:
        if key == "user-agent":
            return value if isinstance(value, str) else ""
    return ""


def require_account(principal: Principal, account_id: str) -> None:
    """Raises ACCOUNT_NOT_ALLOWED in the same words whether the account exists or not."""
    if not principal.allows(account_id):
        raise GatewayError(
            ErrorReason.ACCOUNT_NOT_ALLOWED,
            f"{principal.name!r} may not use account {account_id[:64]!r}; its accounts are named by its token",
            metadata={"account_id": account_id},
        )


class Gatekeeper:
    """Finds the principal of a call and holds its scope against the method's."""

    def __init__(self, settings: TransportSettings, authenticator: Authenticator, clock: Clock) -> None:
        self._settings = settings
        self._authenticator = authenticator
        self._now_ns = clock.now_ns
        self._cache: dict[bytes, Principal] = {}
        self._certificates = any(listener.tls and listener.tls.client_ca for listener in settings.listeners)
        self._loopback = all(listener.loopback for listener in settings.listeners)

    def refresh(self) -> bool:
        """Looks for changed tokens; whether there were any."""
        changed = self._authenticator.refresh()
        if changed:
            self._cache.clear()
        return changed

    def ended(self, principal: Principal) -> GatewayError | None:
        """Why the principal's streams must end; None where they may go on."""
        if not principal.revocable:
            return None
        if not self._authenticator.is_active(principal.name):
            return GatewayError(ErrorReason.TOKEN_REVOKED, f"the token {principal.name!r} was revoked")
        return self._expired(principal)

    def by_token(self, metadata: Sequence[tuple[str, str | bytes]]) -> Principal | None:
        """The principal of the call's bearer token; None where it brings none."""
        value = next((value for key, value in metadata if key == "authorization"), None)
        if value is None:
            return None
        scheme, _, token = value.partition(" ") if isinstance(value, str) else ("", "", "")
        if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN_LENGTH:
            raise GatewayError(
                ErrorReason.TOKEN_INVALID,
                "the header 'authorization' must be 'Bearer <token>'; see 'brokergate token'",
            )
        key_ = hashlib.sha256(token.encode()).digest()
        principal = self._cache.get(key_)
        if principal is None:
            principal = self._authenticator.authenticate(token)
            if len(self._cache) >= MAX_CACHED_TOKENS:
                self._cache.pop(next(iter(self._cache)))
            self._cache[key_] = principal
        if expired := self._expired(principal):
            raise expired
        return principal

    def without_token(self) -> Principal | None:
        """The principal of a call that brings no token, where that needs no look at its connection."""
        if self._loopback and not self._certificates and not self._authenticator.required:
            return ANONYMOUS
        return None

    def by_connection(self, peer: str, identity: Mapping[str, Sequence[bytes]]) -> Principal:
        """The principal of a call that brings no token: by its certificate, or by being on this machine."""
        if self._certificates and (names := identity.get("x509_common_name")):
            name = names[0].decode("utf-8", "replace")
            scope = self._settings.client_scopes.get(name, self._settings.default_client_scope)
            return Principal(name, scope)
        if not self._authenticator.required and peer.startswith(
            ("ipv4:127.", "ipv6:[::1]", "ipv6:%5B::1%5D", "unix:")
        ):
            return ANONYMOUS
        raise GatewayError(
            ErrorReason.TOKEN_INVALID,
            "no bearer token; send the header 'authorization: Bearer <token>' ('brokergate token new NAME' makes one)",
        )

    def _expired(self, principal: Principal) -> GatewayError | None:
        if principal.expires_ns is None or self._now_ns() < principal.expires_ns:
            return None
        return GatewayError(ErrorReason.TOKEN_EXPIRED, f"the token {principal.name!r} has expired")


def check_scope(principal: Principal, method: str) -> None:
    """Raises SCOPE_INSUFFICIENT, or UNIMPLEMENTED for a method that nobody gave a scope."""
    needed = SCOPES.get(method)
    if needed is None:
        raise _no_method(method)
    if principal.scope < needed:
        raise GatewayError(
            ErrorReason.SCOPE_INSUFFICIENT,
            f"{method} needs the scope {needed.name.lower()}; {principal.name!r} has {principal.scope.name.lower()}",
            metadata={"needed_scope": needed.name.lower(), "scope": principal.scope.name.lower()},
        )


def _no_method(method: str) -> GatewayError:
    return GatewayError(ErrorReason.UNIMPLEMENTED, f"{method[:128]}: this gateway has no such method")


class GuardedHandlers(grpc.GenericRpcHandler):
    """Lets a call through to its handler, with its `current_principal()` set, or answers it with the refusal.

    gRPC asks for a call's handler in the call's own task, so that what is set here is there when it is served. An
    interceptor would do the same at the cost of some 20 µs a call: grpc.aio runs those through coroutines of their own.
    """

    def __init__(
        self,
        gatekeeper: Gatekeeper,
        refused: Callable[[str, GatewayError], None],
        handlers: Sequence[grpc.GenericRpcHandler],
    ) -> None:
        self._gatekeeper = gatekeeper
        self._refused = refused
        self._handlers = tuple(handlers)

    def service(self, handler_call_details: Any) -> Handler:
        """See `grpc.GenericRpcHandler`."""
        method: str = handler_call_details.method
        metadata = handler_call_details.invocation_metadata
        try:
            principal = self._gatekeeper.by_token(metadata)
            if principal is None:
                principal = self._gatekeeper.without_token()
                if principal is None:
                    handler = self._find(handler_call_details)
                    return self._ask_connection(method, handler, _user_agent(metadata))
            check_scope(principal, method)
            _caller.set((principal, _user_agent(metadata)))
        except GatewayError as error:
            if method != HEALTH_CHECK:
                self._refused(method, error)
                return _refusal(error)
            _caller.set((error, ""))
        handler = self._find(handler_call_details)
        return _refusal(_no_method(method)) if handler is None else handler

    def _find(self, handler_call_details: Any) -> Handler | None:
        for handlers in self._handlers:
            handler = handlers.service(handler_call_details)
            if handler is not None:
                return handler
        return None

    def _ask_connection(self, method: str, handler: Handler, user_agent: str) -> Handler:
        """A handler that finds the principal once the call, and with it the connection, is at hand."""

        def admit(context: Any) -> GatewayError | None:
            try:
                principal = self._gatekeeper.by_connection(context.peer(), context.auth_context())
                check_scope(principal, method)
                _caller.set((principal, user_agent))
            except GatewayError as error:
                _caller.set((error, ""))
                if method != HEALTH_CHECK:
                    self._refused(method, error)
                    return error
            return None

        return _guarded(handler, admit)


def _refusal(error: GatewayError) -> Handler:
    """A handler that answers `error`. Its shape does for every kind of call: one that expects a request first would
    leave a client that sends none without an answer."""

    async def answer(_: Any, context: Any) -> None:
        await refuse(context, error)

    return grpc.stream_stream_rpc_method_handler(answer)


def _guarded(handler: Handler, admit: Callable[[Any], GatewayError | None]) -> Handler:
    """`handler`, of whatever shape, run only when `admit` has nothing against it."""

    def behind(behaviour: Callable[..., Awaitable[Any]]) -> Any:
        async def guarded(request: Any, context: Any) -> Any:
            if error := admit(context):
                await refuse(context, error)
            return await behaviour(request, context)

        return guarded

    for shape in ("unary_unary", "unary_stream", "stream_unary", "stream_stream"):
        if behaviour := getattr(handler, shape, None):
            make = getattr(grpc, f"{shape}_rpc_method_handler")
            return make(behind(behaviour), handler.request_deserializer, handler.response_serializer)
    return grpc.stream_stream_rpc_method_handler(behind(_not_served))


async def _not_served(_: Any, context: Any) -> None:
    await refuse(context, _no_method("the method"))
