//! The client: one object, one connection, the whole of trading.

use std::{ops::Deref, time::Duration};

use bigdecimal::BigDecimal;
use tokio_stream::Stream;
use tonic::Code;

use crate::{
    Error, EventOptions, EventStream, Exactly, FillOptions, FillStream, Options, Result, Streaming, Unary,
    calls::Caller,
    connection::open_channel,
    exact::decimal,
    v1::{
        self, CancelOrderRequest, GetAccountRequest, OrderRef, OrderSpec, OrderType, PlaceOrderRequest,
        ReplaceOrderRequest, Side, order_spec::Size,
    },
};

/// Where an order goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To this account.
    Account(String),
    /// To the first account of this route that can take it, for good.
    Route(String),
}

impl From<&str> for Target {
    fn from(account_id: &str) -> Self {
        Self::Account(account_id.to_owned())
    }
}

/// One of an order's two names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderName {
    /// The gateway's.
    Id(String),
    /// The client's.
    ClientOrderId(String),
}

impl From<OrderName> for OrderRef {
    fn from(name: OrderName) -> Self {
        let id = match name {
            OrderName::Id(id) => v1::order_ref::Id::OrderId(id),
            OrderName::ClientOrderId(id) => v1::order_ref::Id::ClientOrderId(id),
        };
        Self { id: Some(id) }
    }
}

/// An order to place: what it asks for, and under which id.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Made where it is empty; to repeat safely after a restart of yours, give one and keep it.
    pub client_order_id: String,
    /// Everything else; its decimals are the ones below where those are given.
    pub spec: OrderSpec,
    /// How much.
    pub quantity: Option<Exactly>,
    /// The worst price.
    pub limit_price: Option<Exactly>,
    /// The trigger.
    pub stop_price: Option<Exactly>,
    /// The other members of an OCO group; those without a client_order_id are named after this one.
    pub oco_orders: Vec<v1::LinkedOrder>,
}

/// An order that buys or sells at what the market offers.
pub fn market_order(symbol: &str, side: Side, quantity: impl Into<Exactly>) -> Place {
    let spec = OrderSpec { symbol: symbol.to_owned(), ..OrderSpec::default() };
    let mut order = Place { spec, quantity: Some(quantity.into()), ..Place::default() };
    order.spec.set_side(side);
    order.spec.set_type(OrderType::Market);
    order
}

/// An order that buys or sells at `limit_price` or better.
pub fn limit_order(symbol: &str, side: Side, quantity: impl Into<Exactly>, limit_price: impl Into<Exactly>) -> Place {
    let mut order = market_order(symbol, side, quantity);
    order.spec.set_type(OrderType::Limit);
    order.limit_price = Some(limit_price.into());
    order
}

/// What of an order shall change; what is None stays. `quantity` is the new total, including what is filled.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// The new total.
    pub quantity: Option<Exactly>,
    /// The new limit.
    pub limit_price: Option<Exactly>,
    /// The new trigger.
    pub stop_price: Option<Exactly>,
}

/// The id under which a mutation is done once; made where it is empty.
#[derive(Clone, Debug, Default)]
pub struct Once {
    /// Its request_id.
    pub request_id: String,
}

/// An order as it stands, its figures exact; the rest of it by [`Deref`].
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// The total.
    pub quantity: BigDecimal,
    /// Filled so far.
    pub cum_quantity: BigDecimal,
    /// Still to be filled.
    pub leaves_quantity: BigDecimal,
    /// Σ price × quantity × multiplier of the fills.
    pub cum_notional: BigDecimal,
    /// Absent before the first fill.
    pub average_price: Option<BigDecimal>,
    /// The worst price, where it has one.
    pub limit_price: Option<BigDecimal>,
    /// The trigger, where it has one.
    pub stop_price: Option<BigDecimal>,
    message: v1::Order,
}

impl Deref for Order {
    type Target = v1::Order;

    fn deref(&self) -> &v1::Order {
        &self.message
    }
}

impl TryFrom<v1::Order> for Order {
    type Error = Error;

    fn try_from(message: v1::Order) -> Result<Self> {
        let optional = |text: Option<&String>, field| text.map(|text| decimal(text, field)).transpose();
        let spec = message.spec.as_ref();
        Ok(Self {
            quantity: decimal(&message.quantity, "quantity")?,
            cum_quantity: decimal(&message.cum_quantity, "cum_quantity")?,
            leaves_quantity: decimal(&message.leaves_quantity, "leaves_quantity")?,
            cum_notional: decimal(&message.cum_notional, "cum_notional")?,
            average_price: optional(message.average_price.as_ref(), "average_price")?,
            limit_price: optional(spec.and_then(|spec| spec.limit_price.as_ref()), "spec.limit_price")?,
            stop_price: optional(spec.and_then(|spec| spec.stop_price.as_ref()), "spec.stop_price")?,
            message,
        })
    }
}

/// What became of an order that was placed.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// As it now stands.
    pub order: Order,
    /// Whether its id was known already: nothing new was placed.
    pub already_existed: bool,
    /// The other orders of a bracket or an OCO group.
    pub linked_orders: Vec<Order>,
}

/// A connection to a gateway, which connects when it is first used. Clones share it.
///
/// A unary call whose answer was lost, or that ends UNAVAILABLE, is asked again under the same id until its deadline,
/// which never does a thing twice. A future that is dropped gives its call up.
#[derive(Clone, Debug)]
pub struct Gateway {
    caller: Caller,
}

impl Gateway {
    /// A gateway at `host:port` or `unix:/path`. An [`Error`] (INVALID_ARGUMENT) for options that do not fit. To be called
    /// in a tokio runtime.
    pub fn connect(address: &str, options: Options) -> Result<Self> {
        let channel = open_channel(address, &options)?;
        Ok(Self { caller: Caller::new(channel, options.token, options.deadline) })
    }

    /// The same connection with another deadline for its unary calls: `gateway.within(TWO_SECONDS).place(…)`.
    pub fn within(&self, deadline: Duration) -> Self {
        let mut other = self.clone();
        other.caller.deadline = deadline;
        other
    }

    /// Any unary call of the contract, named by its request: `gateway.call(ListPositionsRequest { … })`.
    pub async fn call<R: Unary>(&self, mut request: R) -> Result<R::Response> {
        let id = request.id();
        self.caller.unary(R::PATH, request, &id).await
    }

    /// Any streaming call of the contract, as it is: no deadline, no repeats, no resuming. Dropping the answers cancels
    /// it.
    pub async fn stream<R: Streaming>(
        &self,
        requests: impl Stream<Item = R> + Send + 'static,
    ) -> Result<impl Stream<Item = Result<R::Response>> + Send + Unpin + 'static> {
        let answers: tonic::Streaming<R::Response> = self.caller.streaming(R::PATH, requests).await?;
        Ok(Answers(answers))
    }

    /// Place an order. One that a rule or the venue refuses is an answer: its state is REJECTED, with its reason.
    pub async fn place(&self, target: impl Into<Target>, order: Place) -> Result<Placed> {
        use v1::place_order_request::Target as Wire;
        let Place { client_order_id, mut spec, quantity, limit_price, stop_price, oco_orders } = order;
        if let Some(quantity) = quantity {
            spec.size = Some(Size::Quantity(quantity.text("order.quantity")?));
        }
        spec.limit_price = text(limit_price, "order.limit_price")?.or(spec.limit_price);
        spec.stop_price = text(stop_price, "order.stop_price")?.or(spec.stop_price);
        let answer = self
            .call(PlaceOrderRequest {
                client_order_id,
                order: Some(spec),
                oco_orders,
                target: Some(match target.into() {
                    Target::Account(id) => Wire::AccountId(id),
                    Target::Route(id) => Wire::RouteId(id),
                }),
                ..PlaceOrderRequest::default()
            })
            .await?;
        Ok(Placed {
            order: required(answer.order)?,
            already_existed: answer.already_existed,
            linked_orders: answer.linked_orders.into_iter().map(Order::try_from).collect::<Result<_>>()?,
        })
    }

    /// Change a working order, last seen at `generation`: GENERATION_MISMATCH where it has changed since.
    pub async fn replace(
        &self,
        target: impl Into<Target>,
        name: OrderName,
        generation: u32,
        change: Change,
        once: Once,
    ) -> Result<Order> {
        use v1::replace_order_request::Target as Wire;
        let answer = self
            .call(ReplaceOrderRequest {
                order: Some(name.into()),
                request_id: once.request_id,
                expected_generation: generation,
                quantity: text(change.quantity, "quantity")?,
                limit_price: text(change.limit_price, "limit_price")?,
                stop_price: text(change.stop_price, "stop_price")?,
                target: Some(match target.into() {
                    Target::Account(id) => Wire::AccountId(id),
                    Target::Route(id) => Wire::RouteId(id),
                }),
                ..ReplaceOrderRequest::default()
            })
            .await?;
        required(answer.order)
    }

    /// Cancel a working order, and give it as it then stands: it may have filled first.
    pub async fn cancel(&self, target: impl Into<Target>, name: OrderName, once: Once) -> Result<Order> {
        use v1::cancel_order_request::Target as Wire;
        let answer = self
            .call(CancelOrderRequest {
                order: Some(name.into()),
                request_id: once.request_id,
                target: Some(match target.into() {
                    Target::Account(id) => Wire::AccountId(id),
                    Target::Route(id) => Wire::RouteId(id),
                }),
                ..CancelOrderRequest::default()
            })
            .await?;
        required(answer.order)
    }

    /// Where an account's journal stands now: take it before placing, and stream fills after it.
    pub async fn cursor(&self, account_id: &str) -> Result<String> {
        Ok(self.call(GetAccountRequest { account_id: account_id.to_owned() }).await?.cursor)
    }

    /// Executions as they are booked, for ever.
    pub fn fills(&self, options: FillOptions) -> FillStream {
        FillStream::new(self.caller.clone(), options)
    }

    /// Every entry of the journal, for ever.
    pub fn events(&self, options: EventOptions) -> EventStream {
        EventStream::new(self.caller.clone(), options)
    }

    /// Whether the gateway serves, or one of its services (`brokergate.v1.OrderService`, `brokergate.broker.paper`).
    pub async fn is_serving(&self, service: &str) -> Result<bool> {
        // grpc.health.v1 without a dependency on its crate: a message with one string, answered by one number.
        let answer: i32 = self.caller.unary("/grpc.health.v1.Health/Check", service.to_owned(), "").await?;
        Ok(answer == 1)
    }
}

struct Answers<T>(tonic::Streaming<T>);

impl<T: prost::Message + Default + 'static> Stream for Answers<T> {
    type Item = Result<T>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<T>>> {
        std::pin::Pin::new(&mut self.0).poll_next(context).map(|next| next.map(|answer| answer.map_err(Error::from)))
    }
}

fn text(value: Option<Exactly>, field: &str) -> Result<Option<String>> {
    value.map(|value| value.text(field)).transpose()
}

fn required(order: Option<v1::Order>) -> Result<Order> {
    order.ok_or_else(|| Error::new(Code::Internal, "the answer has no order"))?.try_into()
}
