//! The conformance runner: does the steps of clients/CONFORMANCE.md through this client, and prints what it saw.

use std::{
    collections::{HashMap, VecDeque},
    error::Error as StdError,
    fs,
    io::{self, BufRead as _, Write as _},
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use brokergate_client::{
    Change, Code, Error, Event, EventOptions, EventStream, Exactly, Fill, FillOptions, FillStream, Gateway, Item, Once,
    Options, Order, OrderName, Streaming, Tls, Token, Unary, decimal, decimal_text, market_order, new_id, v1,
};
use prost::Message as _;
use serde_json::{Map, Value, json};
use tokio::{
    sync::Mutex,
    task::AbortHandle,
    time::{Instant, timeout, timeout_at},
};
use tokio_stream::StreamExt as _;
use v1::event::Payload;

const TAKE_TIMEOUT: Duration = Duration::from_secs(20);

type Failed = Box<dyn StdError + Send + Sync>;
type Seen = Result<Value, Failed>;

/// A step's members; one that is null was not given.
struct Step(Map<String, Value>);

impl Step {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    fn needed(&self, name: &str) -> Result<&str, Failed> {
        self.text(name).ok_or_else(|| format!("the step has no {name}").into())
    }

    fn millis(&self, name: &str) -> Option<Duration> {
        self.0.get(name).and_then(Value::as_u64).map(Duration::from_millis)
    }

    fn texts(&self, name: &str) -> Vec<String> {
        let list = self.0.get(name).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    fn is(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or_default()
    }

    fn exactly(&self, name: &str) -> Option<Exactly> {
        self.text(name).map(Exactly::from)
    }

    fn order_name(&self) -> Result<OrderName, Failed> {
        Ok(match self.text("order_id") {
            Some(id) => OrderName::Id(id.to_owned()),
            None => OrderName::ClientOrderId(self.needed("client_order_id")?.to_owned()),
        })
    }

    fn once(&self) -> Once {
        Once { request_id: self.text("request_id").unwrap_or_default().to_owned() }
    }
}

enum Either {
    Fills(FillStream),
    Events(EventStream),
}

impl Either {
    async fn next(&mut self) -> Result<Item<Told>, Error> {
        Ok(match self {
            Self::Fills(stream) => match stream.next().await? {
                Item::Event(fill) => Item::Event(Told::fill(&fill)),
                Item::State(state) => Item::State(state),
                Item::CaughtUp { cursor } => Item::CaughtUp { cursor },
            },
            Self::Events(stream) => match stream.next().await? {
                Item::Event(event) => Item::Event(Told::event(&event)),
                Item::State(state) => Item::State(state),
                Item::CaughtUp { cursor } => Item::CaughtUp { cursor },
            },
        })
    }
}

/// What a stream told, as the protocol writes it.
struct Told {
    account_id: String,
    sequence: u64,
    shown: Value,
}

impl Told {
    fn fill(fill: &Fill) -> Self {
        let fees = fill
            .fees
            .iter()
            .map(|fee| json!({"amount": fee.amount.to_plain_string(), "currency_code": fee.currency_code}));
        let shown = json!({
            "event_id": fill.event_id, "account_id": fill.account_id, "sequence": fill.sequence.to_string(),
            "cursor": fill.cursor, "fill_id": fill.fill_id, "client_order_id": fill.client_order_id,
            "symbol": fill.symbol, "side": name::<v1::Side>(fill.side), "quantity": fill.quantity.to_plain_string(),
            "price": fill.price.to_plain_string(), "kind": name::<v1::FillKind>(fill.kind),
            "liquidity": name::<v1::Liquidity>(fill.liquidity), "fees": fees.collect::<Vec<_>>(),
        });
        Self { account_id: fill.account_id.clone(), sequence: fill.sequence, shown }
    }

    fn event(event: &Event) -> Self {
        let kind = match event.payload {
            Some(Payload::Order(_)) => "ORDER",
            Some(Payload::Fill(_)) => "FILL",
            Some(Payload::FillFees(_)) => "FILL_FEES",
            Some(Payload::Position(_)) => "POSITION",
            Some(Payload::Balance(_)) => "BALANCE",
            Some(Payload::LedgerEntry(_)) => "LEDGER_ENTRY",
            Some(Payload::Connection(_)) => "CONNECTION",
            Some(Payload::Gap(_)) => "GAP",
            Some(Payload::Discrepancy(_)) => "DISCREPANCY",
            Some(Payload::Control(_)) => "CONTROL",
            None => "UNKNOWN",
        };
        let shown = json!({
            "event_id": event.event_id, "account_id": event.account_id, "sequence": event.sequence.to_string(),
            "cursor": event.cursor, "kind": kind,
        });
        Self { account_id: event.account_id.clone(), sequence: event.sequence, shown }
    }
}

struct Open {
    stream: Either,
    /// What came before anybody took it.
    early: VecDeque<Result<Item<Told>, Error>>,
    /// Whether the stream is live.
    caught_up: bool,
    last: HashMap<String, u64>,
    in_order: bool,
}

impl Open {
    async fn next(&mut self) -> Result<Item<Told>, Error> {
        let next = match self.early.pop_front() {
            Some(next) => next,
            None => self.stream.next().await,
        };
        if let Ok(Item::CaughtUp { .. }) = next {
            self.caught_up = true;
        }
        next
    }

    async fn take(&mut self, step: &Step) -> Seen {
        let count = step.0.get("count").and_then(Value::as_u64).unwrap_or(u64::MAX);
        let until_caught_up = step.text("until") == Some("caught_up");
        let end = Instant::now() + step.millis("timeout_ms").unwrap_or(TAKE_TIMEOUT);
        let mut seen = Map::new();
        let mut items = Vec::new();
        let (mut taken, mut last) = (0, Value::Null);
        while taken < count {
            if until_caught_up && self.caught_up {
                seen.insert("caught_up".to_owned(), true.into());
                break;
            }
            let Ok(next) = timeout_at(end, self.next()).await else {
                seen.insert("timed_out".to_owned(), true.into());
                break;
            };
            let Item::Event(told) = next? else { continue };
            taken += 1;
            let before = self.last.insert(told.account_id, told.sequence).unwrap_or_default();
            self.in_order &= told.sequence > before;
            if step.is("summary") {
                last = told.shown;
            } else {
                items.push(told.shown);
            }
        }
        if step.is("summary") {
            seen.insert("count".to_owned(), taken.into());
            seen.insert("in_order".to_owned(), self.in_order.into());
            seen.insert("last".to_owned(), last);
        } else {
            seen.insert("items".to_owned(), items.into());
        }
        Ok(seen.into())
    }
}

/// The name of an enum's number without its prefix, or the number where it has none.
fn name<E: TryFrom<i32> + Names>(number: i32) -> String {
    E::try_from(number).map_or_else(|_| number.to_string(), |value| value.short())
}

trait Names {
    fn short(&self) -> String;
    fn of(short: &str) -> Option<i32>;
}

macro_rules! names {
    ($($enum:ident $prefix:literal),* $(,)?) => {$(
        impl Names for v1::$enum {
            fn short(&self) -> String {
                self.as_str_name().trim_start_matches($prefix).to_owned()
            }

            fn of(short: &str) -> Option<i32> {
                Self::from_str_name(&format!("{}{short}", $prefix)).map(i32::from)
            }
        }
    )*};
}
names!(
    Side "SIDE_",
    OrderType "ORDER_TYPE_",
    OrderState "ORDER_STATE_",
    TimeInForce "TIME_IN_FORCE_",
    ErrorReason "ERROR_REASON_",
    FillKind "FILL_KIND_",
    Liquidity "LIQUIDITY_",
    EventKind "EVENT_KIND_",
);

fn number<E: Names>(short: &str) -> Result<i32, Failed> {
    E::of(short).ok_or_else(|| format!("nothing is called {short}").into())
}

fn shown_order(order: &Order) -> Value {
    let spec = order.spec.clone().unwrap_or_default();
    let text = |value: &Option<_>| value.as_ref().map(bigdecimal::BigDecimal::to_plain_string);
    json!({
        "order_id": order.order_id, "client_order_id": order.client_order_id, "account_id": order.account_id,
        "symbol": spec.symbol, "side": name::<v1::Side>(spec.side), "type": name::<v1::OrderType>(spec.r#type),
        "state": name::<v1::OrderState>(order.state), "generation": order.generation,
        "quantity": order.quantity.to_plain_string(), "cum_quantity": order.cum_quantity.to_plain_string(),
        "leaves_quantity": order.leaves_quantity.to_plain_string(), "limit_price": text(&order.limit_price),
        "average_price": text(&order.average_price), "reject_reason": name::<v1::ErrorReason>(order.reject_reason),
    })
}

fn shown_error(error: &Error) -> Value {
    let violations = error.violations.iter().map(|each| json!({"field": each.field, "description": each.description}));
    json!({
        "code": code_name(error.code), "reason": error.reason_name, "message": error.message,
        "violations": violations.collect::<Vec<_>>(), "metadata": error.metadata,
        "retry_delay_ms": error.retry_delay.map(|delay| delay.as_millis() as u64),
        "outcome_unknown": error.outcome_unknown, "id": error.id,
    })
}

/// gRPC's name of a code: `InvalidArgument` is INVALID_ARGUMENT.
fn code_name(code: Code) -> String {
    let mut name = String::new();
    for (index, letter) in format!("{code:?}").char_indices() {
        if letter.is_uppercase() && index > 0 {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

async fn unary<R: Unary>(gateway: &Gateway, bytes: &[u8]) -> Result<Vec<u8>, Failed> {
    Ok(gateway.call(R::decode(bytes)?).await?.encode_to_vec())
}

async fn streaming<R: Streaming>(gateway: &Gateway, requests: &[Vec<u8>], take: usize) -> Result<Vec<String>, Failed> {
    let requests: Vec<R> = requests.iter().map(|bytes| R::decode(bytes.as_slice())).collect::<Result<_, _>>()?;
    let mut answers = gateway.stream(tokio_stream::iter(requests)).await?;
    let mut seen = Vec::new();
    while take == 0 || seen.len() < take {
        let Some(answer) = answers.next().await else { break };
        seen.push(BASE64_STANDARD.encode(answer?.encode_to_vec()));
    }
    Ok(seen)
}

/// Calls `$run` with the request type of `$rpc`, as the contract's paths name it.
macro_rules! by_rpc {
    ($rpc:expr, $kind:ident, $run:ident $arguments:tt, $($request:ident)*) => {{
        let path = $rpc.rsplit_once('.').map_or_else(|| format!("/brokergate.v1.{}", $rpc), |_| format!("/{}", $rpc));
        match path.as_str() {
            $(<v1::$request as $kind>::PATH => $run::<v1::$request> $arguments.await,)*
            _ => Err(format!("the contract has no {path}").into()),
        }
    }};
}

/// A stream under its name; dropped, it is closed.
struct Named {
    open: Arc<Mutex<Open>>,
    opening: AbortHandle,
}

impl Drop for Named {
    fn drop(&mut self) {
        self.opening.abort();
    }
}

#[derive(Default)]
struct Runner {
    gateway: Option<(Gateway, Options)>,
    streams: HashMap<String, Named>,
}

impl Runner {
    fn gateway(&self, step: &Step) -> Result<Gateway, Failed> {
        let (gateway, _) = self.gateway.as_ref().ok_or("there is no client: connect first")?;
        Ok(match step.millis("timeout_ms") {
            Some(deadline) => gateway.within(deadline),
            None => gateway.clone(),
        })
    }

    fn open_stream(&self, step: &Step) -> Result<Arc<Mutex<Open>>, Failed> {
        let name = step.needed("name")?;
        self.streams
            .get(name)
            .map(|named| Arc::clone(&named.open))
            .ok_or_else(|| format!("no stream is called {name}").into())
    }

    async fn run(&mut self, step: &Step) -> Seen {
        match step.needed("do")? {
            "connect" => self.connect(step),
            "disconnect" => {
                *self = Self::default();
                Ok(json!({}))
            }
            "show" => Ok(json!({"text": format!("{:?} {:#?}", self.gateway, self.gateway)})),
            "new_id" => {
                let count = step.0.get("count").and_then(Value::as_u64).unwrap_or(1);
                Ok(json!({"ids": (0..count).map(|_| new_id()).collect::<Vec<_>>()}))
            }
            "decimal" => {
                let number = decimal(step.needed("text")?, "text")?;
                Ok(json!({"text": decimal_text(&number, "text")?}))
            }
            "call" => self.call(step).await,
            "stream_call" => self.stream_call(step).await,
            "place" => self.place(step).await,
            "replace" => {
                let change = Change {
                    quantity: step.exactly("quantity"),
                    limit_price: step.exactly("limit_price"),
                    ..Change::default()
                };
                let generation = step.0.get("expected_generation").and_then(Value::as_u64).unwrap_or_default();
                let (account, name) = (step.needed("account_id")?, step.order_name()?);
                let gateway = self.gateway(step)?;
                let order = gateway.replace(account, name, generation.try_into()?, change, step.once()).await?;
                Ok(json!({"order": shown_order(&order)}))
            }
            "cancel" => {
                let gateway = self.gateway(step)?;
                let order = gateway.cancel(step.needed("account_id")?, step.order_name()?, step.once()).await?;
                Ok(json!({"order": shown_order(&order)}))
            }
            "open" => self.open(step),
            "take" => {
                let patience = step.millis("timeout_ms").unwrap_or(TAKE_TIMEOUT);
                let open = self.open_stream(step)?;
                match timeout(patience, open.lock()).await {
                    Ok(mut open) => open.take(step).await,
                    Err(_) => Ok(json!({"items": [], "timed_out": true})),
                }
            }
            "stream" => {
                let open = self.open_stream(step)?;
                let open = open.lock().await;
                let (cursor, reconnects) = match &open.stream {
                    Either::Fills(stream) => (stream.cursor(), stream.reconnects()),
                    Either::Events(stream) => (stream.cursor(), stream.reconnects()),
                };
                Ok(json!({"cursor": cursor, "reconnects": reconnects}))
            }
            "close" => {
                self.streams.remove(step.needed("name")?);
                Ok(json!({}))
            }
            other => Err(format!("no step is called {other}").into()),
        }
    }

    fn connect(&mut self, step: &Step) -> Seen {
        *self = Self::default();
        let read = |name| step.text(name).map(fs::read).transpose();
        let mut options = Options { token: step.text("token").map(Token::new).transpose()?, ..Options::default() };
        if let Some(roots) = read("ca_file")? {
            let identity = read("cert_file")?.zip(read("key_file")?);
            let server_name = step.text("server_name").map(str::to_owned);
            options.tls = Some(Tls { roots: Some(roots), identity, server_name });
        }
        if let Some(deadline) = step.millis("timeout_ms") {
            options.deadline = deadline;
        }
        self.gateway = Some((Gateway::connect(step.needed("address")?, options.clone())?, options));
        Ok(json!({}))
    }

    async fn call(&self, step: &Step) -> Seen {
        let gateway = self.gateway(step)?;
        let bytes = BASE64_STANDARD.decode(step.needed("request")?)?;
        let rpc = step.needed("rpc")?;
        let call = async {
            by_rpc!(rpc, Unary, unary(&gateway, &bytes),
                BatchCancelOrdersRequest BatchPlaceOrdersRequest CancelAllOrdersRequest CancelOrderRequest
                ClearFreezeRequest ClosePositionRequest ControlTapeRequest CreatePaperAccountRequest
                EmergencyStopRequest GetAccountRequest GetBrokerRequest GetInstrumentRequest GetOrderRequest
                GetPositionRequest GetQuoteRequest GetTradingStateRequest ListAccountsRequest ListAuditRecordsRequest
                ListBalancesRequest ListBrokersRequest ListDiscrepanciesRequest ListFillsRequest
                ListInstrumentsRequest ListLedgerEntriesRequest ListOrdersRequest ListPositionsRequest
                PlaceOrderRequest PreviewOrderRequest ReconnectBrokerRequest ReplaceOrderRequest
                ResetPaperAccountRequest ResolveOrderRequest ResumeTradingRequest SetFaultsRequest)
        };
        let answer: Result<Vec<u8>, Failed> = match step.millis("cancel_after_ms") {
            None => call.await,
            // A future that is dropped gives its call up.
            Some(patience) => match timeout(patience, call).await {
                Ok(answer) => answer,
                Err(_) => return Ok(json!({"error": {"code": "CANCELLED"}})),
            },
        };
        Ok(json!({"response": BASE64_STANDARD.encode(answer?)}))
    }

    async fn stream_call(&self, step: &Step) -> Seen {
        let gateway = self.gateway(step)?;
        let requests =
            step.texts("requests").iter().map(|text| BASE64_STANDARD.decode(text)).collect::<Result<Vec<_>, _>>()?;
        let take = step.0.get("take").and_then(Value::as_u64).unwrap_or_default().try_into()?;
        let rpc = step.needed("rpc")?;
        let call = async {
            by_rpc!(rpc, Streaming, streaming(&gateway, &requests, take),
                PushMarketDataRequest StreamMarketDataRequest StreamOrderEntryRequest)
        };
        let end = step.millis("timeout_ms").unwrap_or(Duration::from_secs(10));
        let Ok(responses) = timeout(end, call).await else {
            return Ok(json!({"error": {"code": "DEADLINE_EXCEEDED", "reason": ""}}));
        };
        let responses: Vec<String> = responses?;
        Ok(json!({"responses": responses}))
    }

    async fn place(&self, step: &Step) -> Seen {
        let mut order = market_order(step.needed("symbol")?, v1::Side::Unspecified, step.needed("quantity")?);
        order.spec.side = number::<v1::Side>(step.needed("side")?)?;
        order.spec.r#type = number::<v1::OrderType>(step.needed("type")?)?;
        order.spec.time_in_force = step.text("time_in_force").map_or(Ok(0), number::<v1::TimeInForce>)?;
        order.spec.post_only = step.is("post_only");
        order.limit_price = step.exactly("limit_price");
        order.stop_price = step.exactly("stop_price");
        order.client_order_id = step.text("client_order_id").unwrap_or_default().to_owned();
        let placed = self.gateway(step)?.place(step.needed("account_id")?, order).await?;
        Ok(json!({"order": shown_order(&placed.order), "already_existed": placed.already_existed}))
    }

    fn open(&mut self, step: &Step) -> Seen {
        use brokergate_client::Start;
        let (gateway, _) = self.gateway.as_ref().ok_or("there is no client: connect first")?;
        let start = match (step.text("after"), step.text("start")) {
            (Some(cursor), _) => Start::After(cursor.to_owned()),
            (None, Some("EARLIEST")) => Start::Earliest,
            (None, Some("LIVE") | None) => Start::Live,
            (None, Some(time)) => Start::Time(time.parse()?),
        };
        let (account_ids, heartbeat) = (step.texts("account_ids"), step.millis("heartbeat_ms"));
        let stream = if step.needed("stream")? == "fills" {
            Either::Fills(gateway.fills(FillOptions { account_ids, start, symbols: step.texts("symbols"), heartbeat }))
        } else {
            let kinds = step.texts("kinds");
            let kinds = kinds.iter().map(|kind| Ok(number::<v1::EventKind>(kind)?.try_into()?));
            let kinds = kinds.collect::<Result<_, Failed>>()?;
            Either::Events(gateway.events(EventOptions { account_ids, start, kinds, heartbeat }))
        };
        let open = Open { stream, early: VecDeque::new(), caught_up: false, last: HashMap::new(), in_order: true };
        let open = Arc::new(Mutex::new(open));
        // Opens it at the gateway: a stream of this client does so when it is first read.
        let mut first = Arc::clone(&open).try_lock_owned()?;
        let opening = tokio::spawn(async move {
            let item = first.stream.next().await;
            first.early.push_back(item);
        });
        let named = Named { open, opening: opening.abort_handle() };
        self.streams.insert(step.needed("name")?.to_owned(), named);
        Ok(json!({}))
    }
}

fn main() -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let _inside = runtime.enter();
    let mut runner = Runner::default();
    for line in io::stdin().lock().lines() {
        let seen = match serde_json::from_str(&line?) {
            Ok(step) => runtime.block_on(runner.run(&Step(step))),
            Err(error) => Err(error.into()),
        };
        let answer = match seen {
            Ok(Value::Object(seen)) if seen.contains_key("error") => Value::Object(seen),
            Ok(seen) => json!({"ok": seen}),
            Err(failed) => match failed.downcast::<Error>() {
                Ok(error) => json!({"error": shown_error(&error)}),
                Err(failed) => json!({"failed": failed.to_string()}),
            },
        };
        let mut out = io::stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
