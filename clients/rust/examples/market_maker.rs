//! A market maker for a paper account: it quotes one bid below the market's and one ask above it, moves them with it,
//! follows its fills, and on Ctrl+C, or after --seconds, cancels both and closes the position.
//!
//!     build/market_maker --seconds 30
//!
//! A token is taken from BROKERGATE_TOKEN.

use std::{collections::HashMap, env, error, future::pending, time::Duration};

use bigdecimal::BigDecimal;
use brokergate_client::{
    Change, Code, Error, FillOptions, Gateway, Item, Once, Options, Order, OrderName, Place, Start, Token, decimal,
    limit_order, new_id,
    v1::{
        CancelAllOrdersRequest, ClosePositionRequest, ErrorReason, GetInstrumentRequest, GetOrderRequest,
        ListOrdersRequest, ListPositionsRequest, ListPositionsResponse, MarketDataKind, OrderState, Quote, Side,
        StreamMarketDataRequest, get_instrument_request, get_order_request, market_data_update::Data,
        stream_market_data_request::Target,
    },
};
use tokio::{
    signal::{
        ctrl_c,
        unix::{SignalKind, signal},
    },
    time::sleep,
};
use tokio_stream::{Stream, StreamExt as _};

type Result<T> = std::result::Result<T, Box<dyn error::Error>>;
/// Of a call to the gateway.
type Answer<T> = std::result::Result<T, Error>;

struct Maker {
    gateway: Gateway,
    account: String,
    symbol: String,
    /// The size of each quote.
    quantity: BigDecimal,
    /// How far each is from the best price.
    away: BigDecimal,
    /// The largest position, long or short.
    most: BigDecimal,
    position: BigDecimal,
    quotes: HashMap<Side, Order>,
    /// Placed, and nobody knows whether.
    unanswered: HashMap<Side, Place>,
    placed: u64,
    replaced: u64,
    fills: u64,
}

fn ended(order: &Order) -> bool {
    matches!(order.state(), OrderState::Filled | OrderState::Canceled | OrderState::Rejected | OrderState::Expired)
}

impl Maker {
    /// Put a quote behind each of the best prices; a side without one stays as it is.
    async fn follow(&mut self, market: Quote) -> Result<()> {
        let room = &self.most - &self.quantity;
        if let Some(bid) = market.bid_price {
            let wanted = self.position <= room;
            self.quote(Side::Buy, decimal(&bid, "bid_price")? - &self.away, wanted).await;
        }
        if let Some(ask) = market.ask_price {
            let wanted = self.position >= -room;
            self.quote(Side::Sell, decimal(&ask, "ask_price")? + &self.away, wanted).await;
        }
        Ok(())
    }

    /// Have the side's order work at `price`, or not at all. Where that fails the next quote tries again.
    async fn quote(&mut self, side: Side, price: BigDecimal, wanted: bool) {
        let order = self.quotes.get(&side).cloned();
        let mut now = self.moved(side, order.as_ref(), price, wanted).await;
        if let (Err(error), Some(order)) = (&now, &order) {
            if error.reason != ErrorReason::OrderEnded {
                println!("{}: {error}", side.as_str_name());
            }
            // It filled, somebody else changed it, or the outcome is not known: what it is now decides.
            now = self.look(order).await.map(Some);
        }
        match now {
            Err(error) => println!("{}: {error}", side.as_str_name()),
            Ok(Some(order)) if !ended(&order) => drop(self.quotes.insert(side, order)),
            Ok(_) => drop(self.quotes.remove(&side)),
        }
    }

    /// The side's order as it is after what there was to do.
    async fn moved(
        &mut self,
        side: Side,
        order: Option<&Order>,
        price: BigDecimal,
        wanted: bool,
    ) -> Answer<Option<Order>> {
        let Some(order) = order else {
            if !wanted && !self.unanswered.contains_key(&side) {
                return Ok(None);
            }
            return self.place(side, price).await.map(Some);
        };
        let (account, name) = (self.account.as_str(), OrderName::Id(order.order_id.clone()));
        if !wanted {
            return self.gateway.cancel(account, name, Once::default()).await.map(Some);
        }
        if order.limit_price.as_ref() == Some(&price) {
            // It may have filled here, or somebody else have ended it.
            return self.look(order).await.map(Some);
        }
        let change = Change { limit_price: Some((&price).into()), ..Change::default() };
        let now = self.gateway.replace(account, name, order.generation, change, Once::default()).await?;
        self.replaced += 1;
        Ok(Some(now))
    }

    /// Place a quote, or learn what became of one whose answer never came: under its id it is placed once.
    async fn place(&mut self, side: Side, price: BigDecimal) -> Answer<Order> {
        let spec = self.unanswered.remove(&side).unwrap_or_else(|| {
            let mut spec = limit_order(&self.symbol, side, &self.quantity, &price);
            spec.client_order_id = new_id();
            spec.spec.post_only = true;
            spec
        });
        let order = match self.gateway.place(self.account.as_str(), spec.clone()).await {
            Ok(placed) => placed.order,
            Err(error) => {
                if error.outcome_unknown {
                    self.unanswered.insert(side, spec);
                }
                return Err(error);
            }
        };
        if order.state() == OrderState::Rejected {
            println!("{}: {}: {}", side.as_str_name(), order.reject_reason().as_str_name(), order.reject_message);
        } else {
            self.placed += 1;
        }
        Ok(order)
    }

    async fn look(&self, order: &Order) -> Answer<Order> {
        let target = Some(get_order_request::Target::AccountId(self.account.clone()));
        let name = Some(OrderName::Id(order.order_id.clone()).into());
        let answer = self.gateway.call(GetOrderRequest { target, order: name }).await?;
        answer.order.unwrap_or_default().try_into()
    }

    fn holding(&self, held: &ListPositionsResponse) -> Result<BigDecimal> {
        let own = held.positions.iter().find(|each| each.symbol == self.symbol);
        Ok(own.map(|position| decimal(&position.quantity, "quantity")).transpose()?.unwrap_or_default())
    }

    /// Make a market until something ends it.
    async fn run(&mut self, interval: Duration, end: impl Future<Output = ()>) -> Result<()> {
        let held =
            self.gateway.call(ListPositionsRequest { account_id: self.account.clone(), include_flat: false }).await?;
        self.position = self.holding(&held)?;
        let mut fills = self.gateway.fills(FillOptions {
            account_ids: vec![self.account.clone()],
            symbols: vec![self.symbol.clone()],
            start: Start::After(held.cursor),
            ..FillOptions::default()
        });
        let mut market = Box::pin(quotes(self.gateway.clone(), self.account.clone(), self.symbol.clone(), interval));
        let mut end = Box::pin(end);
        loop {
            tokio::select! {
                () = &mut end => break,
                fill = fills.next() => {
                    if let Item::Event(fill) = fill? {
                        self.fills += 1;
                        self.position += if fill.side() == Side::Buy { fill.quantity.clone() } else { -&fill.quantity };
                        println!("{:?} {} at {}, position {}", fill.side(), fill.quantity, fill.price, self.position);
                    }
                }
                Some(quote) = market.next() => self.follow(quote?).await?,
            }
        }
        Ok(())
    }

    /// Cancel what rests and close what is held; gives what is left.
    async fn flatten(&self) -> Result<Vec<String>> {
        let (account_id, symbol) = (|| self.account.clone(), || self.symbol.clone());
        let gateway = &self.gateway;
        let cancel = CancelAllOrdersRequest { account_id: account_id(), symbol: symbol(), ..Default::default() };
        gateway.call(cancel).await?;
        let close = ClosePositionRequest { account_id: account_id(), symbol: symbol(), ..Default::default() };
        match gateway.call(close).await {
            Err(error) if error.reason != ErrorReason::PositionNotFound => return Err(error.into()),
            _ => {}
        }
        let open = ListOrdersRequest {
            account_id: account_id(),
            symbol: symbol(),
            open_only: true,
            ..ListOrdersRequest::default()
        };
        let held = ListPositionsRequest { account_id: account_id(), include_flat: false };
        let orders = gateway.call(open).await?.orders.into_iter();
        let mut left: Vec<String> = orders.map(|order| format!("order {}", order.order_id)).collect();
        let held = gateway.call(held).await?;
        if held.stale {
            left.push("a position, as far as is known: the broker is away".to_owned());
        }
        let position = self.holding(&held)?;
        if position != BigDecimal::default() {
            left.push(format!("position {position}"));
        }
        Ok(left)
    }
}

/// What a market stream ends with for good.
const FINAL: [Code; 6] = [
    Code::InvalidArgument,
    Code::NotFound,
    Code::FailedPrecondition,
    Code::Unauthenticated,
    Code::PermissionDenied,
    Code::Unimplemented,
];

/// The market's quotes for ever: the stream is opened again where it ends.
fn quotes(gateway: Gateway, account: String, symbol: String, interval: Duration) -> impl Stream<Item = Answer<Quote>> {
    let (send, receive) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let request = StreamMarketDataRequest {
                target: Some(Target::AccountId(account.clone())),
                symbols: vec![symbol.clone()],
                kinds: vec![MarketDataKind::Quote.into()],
                min_interval: interval.try_into().ok(),
                ..StreamMarketDataRequest::default()
            };
            let error = match gateway.stream(tokio_stream::once(request)).await {
                Err(error) => Some(error),
                Ok(mut answers) => loop {
                    match answers.next().await {
                        Some(Ok(answer)) => {
                            for update in answer.updates {
                                let Some(Data::Quote(quote)) = update.data else { continue };
                                if send.send(Ok(quote)).await.is_err() {
                                    return;
                                }
                            }
                        }
                        Some(Err(error)) => break Some(error),
                        None => break None,
                    }
                },
            };
            match error {
                Some(error) if FINAL.contains(&error.code) => {
                    let _ = send.send(Err(error)).await;
                    return;
                }
                Some(error) => println!("the market is away: {error}"),
                None => println!("the market is away: the stream ended"),
            }
            sleep(Duration::from_secs(1)).await;
        }
    });
    tokio_stream::wrappers::ReceiverStream::new(receive)
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut given: HashMap<String, String> = HashMap::new();
    let mut arguments = env::args().skip(1);
    while let Some(name) = arguments.next() {
        given.insert(name.clone(), arguments.next().ok_or(format!("{name} needs a value"))?);
    }
    let mut option = |name: &str, default: &str| given.remove(name).unwrap_or_else(|| default.to_owned());
    let token = env::var("BROKERGATE_TOKEN").ok().map(|token| Token::new(&token)).transpose()?;
    let options = Options { token, ..Options::default() };
    let seconds = Duration::try_from_secs_f64(option("--seconds", "0").parse()?)?;
    let interval = Duration::try_from_secs_f64(option("--interval", "0.2").parse()?)?;
    let gateway = Gateway::connect(&option("--address", "127.0.0.1:50051"), options)?;
    let (account, symbol) = (option("--account", "paper"), option("--symbol", "BTC/USDT"));
    let quantity = decimal(&option("--quantity", "0.01"), "--quantity")?;
    let most = &quantity * decimal(&option("--most", "5"), "--most")?;
    let target = Some(get_instrument_request::Target::AccountId(account.clone()));
    let instrument = gateway.call(GetInstrumentRequest { target, symbol: symbol.clone() }).await?.instrument;
    let tick = decimal(&instrument.unwrap_or_default().price_increment, "price_increment")?;
    let mut maker = Maker {
        gateway,
        account,
        symbol,
        quantity,
        away: tick * decimal(&option("--ticks", "20"), "--ticks")?,
        most,
        position: BigDecimal::default(),
        quotes: HashMap::new(),
        unanswered: HashMap::new(),
        placed: 0,
        replaced: 0,
        fills: 0,
    };
    if let Some(unknown) = given.keys().next() {
        return Err(format!("no option is called {unknown}").into());
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let end = async move {
        let timer = async {
            if seconds.is_zero() {
                pending::<()>().await;
            }
            sleep(seconds).await;
        };
        tokio::select! { () = timer => {}, _ = ctrl_c() => {}, _ = terminate.recv() => {} }
    };
    let ended = maker.run(interval, end).await;
    let left = maker.flatten().await;
    println!("placed {}, replaced {}, fills {}", maker.placed, maker.replaced, maker.fills);
    let symbol = &maker.symbol;
    match left {
        Ok(left) if left.is_empty() => {
            println!("flat");
            ended
        }
        // What ended it is said as well: to be flat may fail for another reason.
        left => {
            if let Err(error) = ended {
                eprintln!("{error}");
            }
            Err(match left {
                Ok(left) => format!("NOT FLAT in {symbol}: {}", left.join(", ")),
                Err(error) => format!("NOT FLAT in {symbol}: orders and a position, as far as is known: {error}"),
            }
            .into())
        }
    }
}
