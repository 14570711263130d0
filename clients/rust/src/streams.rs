//! Streams that survive: each resumes by its cursor, for ever, and gives every event once.
//!
//! The gateway gives every event at least once, and an account's sequences rise without a hole. What makes it once is
//! here: per account the highest sequence that was given, of one epoch of the journal. It does not grow with the stream.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    ops::Deref,
    pin::Pin,
    time::Duration,
};

use bigdecimal::BigDecimal;
use prost::Message;
use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::Code;

use crate::{
    Error, Result,
    calls::{Backoff, Caller, invites_repeat},
    exact::decimal,
    v1::{
        self, ErrorReason, EventKind, StartPosition, StreamEventsRequest, StreamEventsResponse, StreamFillsRequest,
        event::Payload as EventPayload, stream_events_request, stream_events_response::Payload, stream_fills_request,
    },
};

/// So many heartbeats in a row that did not come mean that the peer is gone, whatever TCP says.
const MISSED_HEARTBEATS: u32 = 3;
/// `StreamOpened` is sent at once; a gateway that takes longer is asked again.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Where a stream begins.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Start {
    /// At the next event.
    #[default]
    Live,
    /// At the oldest event that is still kept.
    Earliest,
    /// With the state of the accounts; of events alone.
    Snapshot,
    /// At the first event journalled at or after this time.
    Time(prost_types::Timestamp),
    /// After this cursor, one that was kept.
    After(String),
}

/// What fills are asked for. Empty lists mean all.
#[derive(Clone, Debug, Default)]
pub struct FillOptions {
    /// Whose.
    pub account_ids: Vec<String>,
    /// Where to begin.
    pub start: Start,
    /// Of which instruments.
    pub symbols: Vec<String>,
    /// How often the gateway says that nothing happened: 1 s to 60 s; 10 s if None.
    pub heartbeat: Option<Duration>,
}

/// What events are asked for. Empty lists mean all.
#[derive(Clone, Debug, Default)]
pub struct EventOptions {
    /// Whose.
    pub account_ids: Vec<String>,
    /// Where to begin.
    pub start: Start,
    /// Of which kinds.
    pub kinds: Vec<EventKind>,
    /// How often the gateway says that nothing happened: 1 s to 60 s; 10 s if None.
    pub heartbeat: Option<Duration>,
}

/// What a stream gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Item<T> {
    /// Something happened.
    Event(T),
    /// The state of the accounts, where a snapshot was asked for.
    State(State),
    /// All that was journalled before the stream was opened has been given. Comes again after every reconnect.
    CaughtUp {
        /// Resumes here.
        cursor: String,
    },
}

/// Orders that have not ended, positions that are not flat, and balances, at `cursor`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Resumes after it.
    pub cursor: String,
    /// The orders.
    pub orders: Vec<v1::Order>,
    /// The positions.
    pub positions: Vec<v1::Position>,
    /// The balances.
    pub balances: Vec<v1::Balance>,
}

/// One entry of a journal, the rest of it by [`Deref`]; `payload` is None where this client is too old to know it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The one to keep once the event has been dealt with.
    pub cursor: String,
    message: v1::Event,
}

impl Deref for Event {
    type Target = v1::Event;

    fn deref(&self) -> &v1::Event {
        &self.message
    }
}

/// An exact amount of one currency.
#[derive(Clone, Debug, PartialEq)]
pub struct Money {
    /// How much.
    pub amount: BigDecimal,
    /// Of what.
    pub currency_code: String,
}

/// One execution, with its place in the journal; the rest of it by [`Deref`]. A broker may correct one or take it back:
/// its `kind()` says so.
#[derive(Clone, Debug, PartialEq)]
pub struct Fill {
    /// Unique for ever.
    pub event_id: String,
    /// Rises by account, without a hole over all kinds of event.
    pub sequence: u64,
    /// The one to keep once the fill has been dealt with.
    pub cursor: String,
    /// How much.
    pub quantity: BigDecimal,
    /// At what price, in the quote currency.
    pub price: BigDecimal,
    /// What it cost; a rebate is below zero. Empty with `fees_final` false: not known yet.
    pub fees: Vec<Money>,
    message: v1::Fill,
}

impl Deref for Fill {
    type Target = v1::Fill;

    fn deref(&self) -> &v1::Fill {
        &self.message
    }
}

impl Fill {
    fn new(event: v1::Event, cursor: String) -> Result<Option<Self>> {
        let Some(EventPayload::Fill(v1::FillEvent { fill: Some(message) })) = event.payload else {
            // Fees that came later belong to events; here they only move the cursor.
            return Ok(None);
        };
        let fees = (message.fees.iter()).map(|fee| {
            Ok(Money { amount: decimal(&fee.amount, "fees.amount")?, currency_code: fee.currency_code.clone() })
        });
        Ok(Some(Self {
            event_id: event.event_id,
            sequence: event.sequence,
            cursor,
            quantity: decimal(&message.quantity, "quantity")?,
            price: decimal(&message.price, "price")?,
            fees: fees.collect::<Result<_>>()?,
            message,
        }))
    }
}

/// Executions as they are booked, for ever.
#[derive(Debug)]
pub struct FillStream(Resuming<StreamFillsRequest>);

/// Every entry of the journal, for ever.
#[derive(Debug)]
pub struct EventStream(Resuming<StreamEventsRequest>);

impl FillStream {
    pub(crate) fn new(caller: Caller, options: FillOptions) -> Self {
        let single = options.account_ids.len() == 1;
        let request = StreamFillsRequest {
            account_ids: options.account_ids,
            symbols: options.symbols,
            ..StreamFillsRequest::default()
        };
        Self(Resuming::new(caller, request, single, options.start, options.heartbeat))
    }

    /// The next fill, or the notice that what follows is live. To stop waiting for it loses nothing.
    ///
    /// An [`Error`] is what no new connection can mend: reason CURSOR_EXPIRED, CURSOR_EPOCH, TOKEN_INVALID …
    pub async fn next(&mut self) -> Result<Item<Fill>> {
        loop {
            match self.0.next().await? {
                Item::Event(event) => {
                    if let Some(fill) = Fill::new(event.message, event.cursor)? {
                        return Ok(Item::Event(fill));
                    }
                }
                Item::State(state) => return Ok(Item::State(state)),
                Item::CaughtUp { cursor } => return Ok(Item::CaughtUp { cursor }),
            }
        }
    }

    /// Resumes after all that was given so far; it also moves on while nothing comes that passes the filter.
    pub fn cursor(&self) -> &str {
        &self.0.cursor
    }

    /// Connections after the first.
    pub fn reconnects(&self) -> u64 {
        self.0.reconnects
    }
}

impl EventStream {
    pub(crate) fn new(caller: Caller, options: EventOptions) -> Self {
        let single = options.account_ids.len() == 1;
        let request = StreamEventsRequest {
            account_ids: options.account_ids,
            kinds: options.kinds.into_iter().map(i32::from).collect(),
            ..StreamEventsRequest::default()
        };
        Self(Resuming::new(caller, request, single, options.start, options.heartbeat))
    }

    /// The next event, the state that was asked for, or the notice that what follows is live. As [`FillStream::next`].
    pub async fn next(&mut self) -> Result<Item<Event>> {
        self.0.next().await
    }

    /// As [`FillStream::cursor`].
    pub fn cursor(&self) -> &str {
        &self.0.cursor
    }

    /// As [`FillStream::reconnects`].
    pub fn reconnects(&self) -> u64 {
        self.0.reconnects
    }
}

/// The requests of both streams.
trait StreamRequest: Message + Clone + Default + 'static {
    const PATH: &'static str;
    fn begin(&mut self, start: &Start, heartbeat: Duration);
}

fn position(start: &Start) -> i32 {
    match start {
        Start::Earliest => StartPosition::Earliest.into(),
        Start::Snapshot => StartPosition::Snapshot.into(),
        _ => StartPosition::Live.into(),
    }
}

macro_rules! stream_request {
    ($request:ty, $start:path) => {
        impl StreamRequest for $request {
            const PATH: &'static str = <$request as crate::Streaming>::PATH;

            fn begin(&mut self, start: &Start, heartbeat: Duration) {
                use $start as Wire;
                self.heartbeat_interval = prost_types::Duration::try_from(heartbeat).ok();
                self.start = Some(match start {
                    Start::After(cursor) => Wire::AfterCursor(cursor.clone()),
                    Start::Time(time) => Wire::StartTime(*time),
                    named => Wire::StartPosition(position(named)),
                });
            }
        }
    };
}
stream_request!(StreamFillsRequest, stream_fills_request::Start);
stream_request!(StreamEventsRequest, stream_events_request::Start);

/// What the streams share. An answer of StreamFills is one of StreamEvents without snapshots, field by field, so both are
/// read as that.
#[derive(Debug)]
struct Resuming<R> {
    caller: Caller,
    request: R,
    start: Start,
    heartbeat: Duration,
    single: bool,
    cursor: String,
    reconnects: u64,
    connection: Connection,
    backoff: Backoff,
    epoch: Option<u64>,
    seen: HashMap<String, u64>,
    waiting: VecDeque<v1::Event>,
    /// The cursor of the batch that `waiting` is of.
    batch_cursor: String,
    /// The pages of a snapshot that is not whole.
    pages: State,
}

enum Connection {
    None,
    Paused {
        until: Instant,
    },
    /// Kept over one that stops waiting: else who asks again every few milliseconds would never be connected.
    Opening {
        call: Pin<Box<dyn Future<Output = Result<Answers>> + Send>>,
        silent_at: Instant,
    },
    Open {
        answers: Box<Answers>,
        silent_at: Instant,
    },
}

type Answers = tonic::Streaming<StreamEventsResponse>;

impl fmt::Debug for Connection {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::None => "None",
            Self::Paused { .. } => "Paused",
            Self::Opening { .. } => "Opening",
            Self::Open { .. } => "Open",
        })
    }
}

impl<R: StreamRequest> Resuming<R> {
    fn new(caller: Caller, request: R, single: bool, start: Start, heartbeat: Option<Duration>) -> Self {
        let cursor = if let Start::After(cursor) = &start { cursor.clone() } else { String::new() };
        Self {
            caller,
            request,
            single,
            start,
            heartbeat: heartbeat.unwrap_or(HEARTBEAT),
            cursor,
            reconnects: 0,
            connection: Connection::None,
            backoff: Backoff::default(),
            epoch: None,
            seen: HashMap::new(),
            waiting: VecDeque::new(),
            batch_cursor: String::new(),
            pages: State::default(),
        }
    }

    async fn next(&mut self) -> Result<Item<Event>> {
        loop {
            while let Some(message) = self.waiting.pop_front() {
                if let Some(cursor) = self.pass(&message) {
                    return Ok(Item::Event(Event { cursor, message }));
                }
            }
            let told = match self.receive().await {
                Ok(answer) => self.take(answer),
                Err(error) => Err(error),
            };
            match told {
                Ok(Some(item)) => return Ok(item),
                Ok(None) => {}
                Err(error) => {
                    let may_resume = self.may_resume(&error);
                    let until = Instant::now() + self.backoff.next(error.retry_delay);
                    self.connection = if may_resume { Connection::Paused { until } } else { Connection::None };
                    if !may_resume {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// The cursor to keep after an event of the batch, None where it was given before.
    ///
    /// A cursor of an event speaks of its account alone. Where the stream may hold several, the safe one between two
    /// events of a batch is that of the message before: resuming there repeats up to a batch and loses nothing.
    fn pass(&mut self, event: &v1::Event) -> Option<String> {
        if self.waiting.is_empty() {
            self.cursor.clone_from(&self.batch_cursor);
        }
        let seen = self.seen.entry(event.account_id.clone()).or_default();
        if event.sequence <= *seen {
            return None;
        }
        *seen = event.sequence;
        if self.single && !self.waiting.is_empty() {
            self.cursor.clone_from(&event.cursor);
        }
        Some(self.cursor.clone())
    }

    /// The next message, over a new connection where there is none.
    async fn receive(&mut self) -> Result<StreamEventsResponse> {
        if let Connection::Paused { until } = self.connection {
            sleep_until(until).await;
            self.reconnects += 1;
            self.connection = Connection::None;
        }
        if let Connection::None = self.connection {
            let mut request = self.request.clone();
            let start = if self.cursor.is_empty() { self.start.clone() } else { Start::After(self.cursor.clone()) };
            request.begin(&start, self.heartbeat);
            let caller = self.caller.clone();
            let call = Box::pin(async move { caller.streaming(R::PATH, tokio_stream::once(request)).await });
            self.connection = Connection::Opening { call, silent_at: Instant::now() + OPEN_TIMEOUT };
        }
        if let Connection::Opening { call, silent_at } = &mut self.connection {
            be_patient(silent_at, self.heartbeat);
            let answers = Box::new(timeout_at(*silent_at, call).await.map_err(|_| silence())??);
            self.connection = Connection::Open { answers, silent_at: *silent_at };
        }
        let Connection::Open { answers, silent_at } = &mut self.connection else { return Err(silence()) };
        be_patient(silent_at, self.heartbeat);
        let answer = timeout_at(*silent_at, answers.message()).await.map_err(|_| silence())??;
        *silent_at = Instant::now() + self.heartbeat * MISSED_HEARTBEATS;
        answer.ok_or_else(|| Error::new(Code::Unavailable, "the gateway ended the stream"))
    }

    /// What a message gives by itself; the events of a batch wait in `waiting`.
    fn take(&mut self, answer: StreamEventsResponse) -> Result<Option<Item<Event>>> {
        let cursor = answer.cursor;
        match answer.payload {
            Some(Payload::Opened(opened)) => {
                if self.epoch != Some(opened.epoch) {
                    // Sequences of another epoch say nothing about these.
                    self.seen.clear();
                    self.epoch = Some(opened.epoch);
                }
                // A snapshot that was cut short begins anew.
                self.pages = State::default();
                self.keep(cursor);
                return Ok(None);
            }
            Some(Payload::Closing(closing)) => {
                self.keep(cursor);
                return Err(closing_error(&closing));
            }
            _ => self.backoff.reset(),
        }
        match answer.payload {
            Some(Payload::Batch(batch)) => {
                self.waiting = batch.events.into();
                self.batch_cursor = cursor;
            }
            Some(Payload::CaughtUp(_)) => {
                self.keep(cursor.clone());
                return Ok(Some(Item::CaughtUp { cursor }));
            }
            Some(Payload::Snapshot(page)) => {
                self.pages.orders.extend(page.orders);
                self.pages.positions.extend(page.positions);
                self.pages.balances.extend(page.balances);
                if page.last {
                    self.cursor.clone_from(&cursor);
                    return Ok(Some(Item::State(State { cursor, ..std::mem::take(&mut self.pages) })));
                }
            }
            _ => self.keep(cursor),
        }
        Ok(None)
    }

    /// Until a snapshot is whole no cursor is worth anything: resuming after one would leave the state out.
    fn keep(&mut self, cursor: String) {
        let awaits_snapshot = self.start == Start::Snapshot && self.cursor.is_empty();
        if !cursor.is_empty() && !awaits_snapshot {
            self.cursor = cursor;
        }
    }

    /// Whether a new connection can help. Before the first one stood, a crowded gateway is the caller's to know.
    fn may_resume(&self, error: &Error) -> bool {
        match error.reason {
            ErrorReason::TooManyStreams => self.epoch.is_some(),
            ErrorReason::SlowConsumer => true,
            _ => invites_repeat(error),
        }
    }
}

/// Nobody was waiting when it passed: what has come meanwhile counts, and a peer that lives speaks soon.
fn be_patient(silent_at: &mut Instant, heartbeat: Duration) {
    let now = Instant::now();
    if now > *silent_at {
        *silent_at = now + heartbeat;
    }
}

fn silence() -> Error {
    Error::new(Code::Unavailable, "nothing came from the gateway, not even a heartbeat")
}

fn closing_error(closing: &v1::StreamClosing) -> Error {
    let code = match closing.reason() {
        ErrorReason::TokenRevoked => Code::Unauthenticated,
        ErrorReason::SlowConsumer => Code::ResourceExhausted,
        _ => Code::Unavailable,
    };
    Error::new(code, closing.message.as_str()).with_reason(closing.reason)
}
