"""Orders as clients give them: what TWS checks before it takes one, changes it or cancels it.

Codes and their meaning are those of tws-api, "Message Codes". A refusal before an order is taken is an error and
nothing more; one after it (201) is an error and then the order as Inactive.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from brokergate.domain.orders import OrderState
from tests.emulators.orders import Refused
from tests.emulators.tws.asked import Asked
from tests.emulators.tws.contracts import Contracts, Listed
from tests.emulators.tws.floor import Floor
from tests.emulators.tws.orders import TwsOrder
from tests.emulators.tws.translating import FORCES, LIMITED, TRIGGERED, TYPES, moment_ns

D = Decimal
NO_CONTRACT = "No security definition has been found for the request"
GREATEST = D(10) ** 12
"""Of sizes and prices."""
FUNDS = (
    "We are unable to accept your order. Your Available Funds are insufficient to cover the change in margin. "
    "Initial margin needed: {needed} USD, available: {available} USD."
)


class Refusal(Exception):
    """TWS does not do it, and says why with a code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class Desk:
    """See the module. `rejections` holds symbols whose new orders are refused: (code, text)."""

    def __init__(self, floor: Floor, contracts: Contracts) -> None:
        self.floor = floor
        self.contracts = contracts
        self.rejections: dict[str, tuple[int, str]] = {}
        self.next_ids: dict[int, int] = {}
        """The lowest order id that each client may use next."""

    # Finding

    def find(self, client_id: int, order_id: int) -> TwsOrder | None:
        """A client's order by its id: of several (ids can begin anew) the latest."""
        return self.floor.by_id.get((client_id, order_id))

    def next_id(self, client_id: int) -> int:
        """What `nextValidId` tells a client."""
        return self.next_ids.setdefault(client_id, 1)

    def contract(self, asked: Asked) -> Listed:
        """The one contract that is meant. Raises Refusal (200)."""
        found = self.contracts.find(asked.contract)
        if len(found) == 1:
            return found[0]
        if found:
            raise Refusal(
                200, f"The contract description specified for {asked.contract.symbol} is ambiguous."
            )
        raise Refusal(200, NO_CONTRACT)

    # Placing

    def place(self, client_id: int, asked: Asked, *, external: bool = False) -> TwsOrder:
        """Takes a new order or changes one. Raises Refusal where it does neither."""
        known = self.find(client_id, asked.order_id)
        if known is not None and (known.live or asked.order_id < self.next_id(client_id)):
            self.change(known, asked)
            return known
        listed = self.check(asked)
        account = asked.account or next(iter(self.floor.accounts))
        self._check_parent(client_id, asked)
        if not external:
            if asked.order_id < self.next_id(client_id):
                raise Refusal(103, "Duplicate order id")
            self.next_ids[client_id] = asked.order_id + 1
        order = TwsOrder(
            self.floor.number(),
            asked.order_id,
            client_id,
            self.floor.permanent_id(),
            listed,
            asked,
            account,
            self.floor.core.now_ns,
            external=external,
            transmitted=asked.transmit,
        )
        self._take(order)
        return order

    def adopt(self, asked: Asked, listed: Listed) -> TwsOrder:
        """The order of TWS's own windows that the next fill of others will be of."""
        floor = self.floor
        account = asked.account or next(iter(floor.accounts))
        order = TwsOrder(
            floor.number(),
            0,
            0,
            floor.permanent_id(),
            listed,
            asked,
            account,
            floor.core.now_ns,
            external=True,
        )
        floor.keep(order)
        floor.adopting = order
        return order

    def _take(self, order: TwsOrder) -> None:
        try:
            self.check_funds(order)
        except Refusal as refusal:
            self.floor.keep(order)
            self.floor.reject(order, refusal.code, refusal.text)
            return
        self.floor.take(order)

    def change(self, order: TwsOrder, asked: Asked) -> None:
        """Makes an order another one. Raises Refusal, and the order stays what it was."""
        if order.status == "Filled":
            raise Refusal(104, "Cannot modify a filled order.")
        if not order.live:
            raise Refusal(201, f"Order rejected - reason:The order is {order.status}.")
        before = order.asked
        listed = self.check(asked)
        same = (listed, asked.action, asked.account or order.account, asked.parent_id) == (
            order.listed,
            before.action,
            order.account,
            before.parent_id,
        )
        if not same:
            raise Refusal(105, "Order being modified does not match original order.")
        if asked.quantity <= order.filled:
            raise Refusal(201, "Order rejected - reason:The quantity is not above what has filled.")
        if listed.symbol in self.rejections:
            raise Refusal(*self.rejections[listed.symbol])
        transmitted = order.transmitted
        order.asked, order.transmitted = asked, transmitted or asked.transmit
        try:
            self.check_funds(order)
            self.floor.change(order, asked.quantity)
        except (Refusal, Refused) as refused:
            order.asked, order.transmitted = before, transmitted
            text = refused.text if isinstance(refused, Refusal) else refused.message
            raise Refusal(201, text) from None

    def cancel(self, client_id: int, order_id: int) -> None:
        """Ends a client's order. Raises Refusal: 10147 for one that there is not, 10148 for one that has ended."""
        order = self.find(client_id, order_id)
        if order is None:
            raise Refusal(10147, f"OrderId {order_id} that needs to be cancelled is not found.")
        if not order.live:
            raise Refusal(
                10148,
                f"OrderId {order_id} that needs to be cancelled cannot be cancelled, state: {order.status}.",
            )
        self.floor.end(order)

    def cancel_all(self) -> None:
        """Ends every order of the login, whoever placed it."""
        for order in self.floor.live:
            self.floor.end(order)

    # What is checked

    def check(self, asked: Asked) -> Listed:
        """The contract of a sound order. Raises Refusal for one that is not."""
        if asked.unsupported:
            raise Refusal(
                387, f"Unsupported order type for this exchange and security type: {asked.unsupported}"
            )
        listed = self.contract(asked)
        if asked.account and asked.account not in self.floor.accounts:
            raise Refusal(321, "Error validating request.-'bF' : cause - Invalid account code")
        if not asked.account and len(self.floor.accounts) > 1:
            raise Refusal(435, "You must specify an account.")
        if asked.action not in ("BUY", "SELL"):
            raise Refusal(321, f"Error validating request.-'bF' : cause - Invalid action: {asked.action}")
        if asked.type not in TYPES:
            raise Refusal(387, f"Unsupported order type for this exchange and security type: {asked.type}")
        if asked.tif not in FORCES:
            raise Refusal(321, f"Error validating request.-'bF' : cause - Invalid time in force: {asked.tif}")
        self._check_size(asked, listed)
        self._check_prices(asked, listed)
        self._check_end(asked)
        return listed

    def _check_parent(self, client_id: int, asked: Asked) -> None:
        if not asked.parent_id:
            return
        parent = self.find(client_id, asked.parent_id)
        if parent is None:
            raise Refusal(135, f"Can't find order with id ={asked.parent_id}")
        if parent.state in (OrderState.CANCELED, OrderState.REJECTED):
            raise Refusal(201, "Order rejected - reason:Parent order is being cancelled.")

    def _check_size(self, asked: Asked, listed: Listed) -> None:
        if max(asked.quantity, asked.limit or D(0), asked.aux or D(0)) > GREATEST:
            raise Refusal(321, "Error validating request.-'bF' : cause - A size or a price is out of range")
        if asked.quantity <= 0:
            raise Refusal(434, "The order size cannot be zero.")
        if asked.quantity % listed.size_increment:
            raise Refusal(
                10243,
                "Fractional-sized order cannot be placed via API. Please refer to the API documentation.",
            )
        if asked.quantity < listed.min_size:
            raise Refusal(
                201,
                f"Order rejected - reason:The order size {asked.quantity:f} is below the least of its market",
            )

    def _check_prices(self, asked: Asked, listed: Listed) -> None:
        wanted = {"limit": asked.type in LIMITED, "aux": asked.type in TRIGGERED}
        for name, price in (("limit", asked.limit), ("aux", asked.aux)):
            if not wanted[name]:
                continue
            if price is None or price <= 0:
                raise Refusal(321, f"Error validating request.-'bF' : cause - The {name} price is missing")
            if price % listed.increment(price):
                raise Refusal(
                    110, "The price does not conform to the minimum price variation for this contract."
                )
        if asked.type == "TRAIL" and bool(asked.aux) == bool(asked.trail_percent):
            raise Refusal(
                321, "Error validating request.-'bF' : cause - Trailing amount or percent, not both"
            )

    def _check_end(self, asked: Asked) -> None:
        if asked.tif != "GTD":
            return
        try:
            ends_ns = moment_ns(asked.good_till)
        except ValueError:
            raise Refusal(391, "The expiration date or time is invalid.") from None
        if ends_ns <= self.floor.core.now_ns:
            raise Refusal(201, "Order rejected - reason:The good till date has passed.")

    def check_funds(self, order: TwsOrder) -> None:
        """Raises Refusal (201) where the account cannot carry what is left of an order."""
        if order.listed.symbol in self.rejections:
            code, text = self.rejections[order.listed.symbol]
            raise Refusal(code, text)
        account = self.floor.accounts[order.account]
        price = self.reference(order)
        if price is None:
            return
        quantity = order.left if order.asked.buys else -order.left
        needed = account.lacks(order.listed, quantity, price)
        if needed is not None:
            text = FUNDS.format(needed=needed, available=account.available())
            raise Refusal(201, f"Order rejected - reason:{text}")

    def reference(self, order: TwsOrder) -> Decimal | None:
        """What an order is valued at."""
        asked, listed = order.asked, order.listed
        for price in (
            asked.limit if asked.type in LIMITED else None,
            asked.aux if asked.type in TRIGGERED else None,
        ):
            if price is not None:
                return listed.from_wire(price)
        quote = self.floor.core.quote(listed.name)
        if quote is None:
            return None
        return quote.ask_price if asked.buys else quote.bid_price

    # What if

    def margins(self, client_id: int, asked: Asked) -> tuple[TwsOrder, Mapping[str, Decimal]]:
        """An order that nobody places, with what it would change: initial margin and equity before and after, and the
        commission. Raises Refusal as `place`."""
        listed = self.check(asked)
        name = asked.account or next(iter(self.floor.accounts))
        order = TwsOrder(0, asked.order_id, client_id, 0, listed, asked, name, self.floor.core.now_ns)
        order.status = "PreSubmitted"
        account = self.floor.accounts[name]
        price = self.reference(order) or D(0)
        quantity = asked.quantity if asked.buys else -asked.quantity
        fee = self.floor.core.commission(listed.instrument(), D(0), asked.quantity, price)
        before, after = account.margin(), account.margin((listed, quantity, price))
        self.check_funds(order)
        return order, {"before": before, "after": after, "equity": account.equity(), "commission": fee}
