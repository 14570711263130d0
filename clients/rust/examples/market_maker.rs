//! A small market maker: it keeps a bid and an ask at the best prices, follows its fills, and is flat when it ends.
//!
//!     build/market_maker --seconds 30 [--address 127.0.0.1:50051] [--account paper] [--symbol BTC/USDT] [--quantity 0.01]
//!
//! Without --seconds it goes on until Ctrl+C. A token is taken from BROKERGATE_TOKEN.

use std::{collections::HashMap, env, error, future::pending, time::Duration};

use bigdecimal::BigDecimal;
use brokergate_client::{
    Change, Code, FillOptions, Gateway, Item, Once, Options, Order, OrderName, Start, Token, decimal, limit_order,
    v1::{
        CancelAllOrdersRequest, ClosePositionRequest, ErrorReason, GetOrderRequest, ListOrdersRequest,
        ListPositionsRequest, MarketDataKind, OrderState, Quote, Side, StreamMarketDataRequest, get_order_request,
        market_data_update::Data, stream_market_data_request::Target,
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

struct Maker {
    gateway: Gateway,
    account: String,
    symbol: String,
    quantity: BigDecimal,
    position: BigDecimal,
    quotes: HashMap<Side, Order>,
    placed: u64,
    replaced: u64,
    fills: u64,
}

fn working(order: &Order) -> bool {
    matches!(order.state(), OrderState::New | OrderState::PartiallyFilled | OrderState::PendingNew)
}

impl Maker {
    /// Have the quote of one side rest at `price`: placed, or moved there.
    async fn quote_at(&mut self, side: Side, price: Option<&str>) -> Result<()> {
        let Some(price) = price.map(|price| decimal(price, "price")).transpose()? else { return Ok(()) };
        let most: BigDecimal = &self.quantity * 5;
        let full = if side == Side::Buy { self.position >= most } else { self.position <= -most };
        let standing = self.quotes.get(&side);
        if full || standing.and_then(|order| order.limit_price.as_ref()) == Some(&price) {
            return Ok(());
        }
        let Some(standing) = standing else {
            let mut order = limit_order(&self.symbol, side, &self.quantity, &price);
            order.spec.post_only = true;
            let placed = self.gateway.place(self.account.as_str(), order).await?.order;
            self.placed += 1;
            self.keep(side, placed);
            return Ok(());
        };
        let (name, generation) = (OrderName::Id(standing.order_id.clone()), standing.generation);
        let change = Change { limit_price: Some((&price).into()), ..Change::default() };
        let account = self.account.as_str();
        let order = match self.gateway.replace(account, name.clone(), generation, change, Once::default()).await {
            Ok(moved) => {
                self.replaced += 1;
                moved
            }
            // It filled or changed before it could be moved, or would take there: the next quote goes on from what it is
            // now.
            Err(error) if error.code == Code::FailedPrecondition => {
                let target = Some(get_order_request::Target::AccountId(account.to_owned()));
                let answer = self.gateway.call(GetOrderRequest { target, order: Some(name.into()) }).await?;
                answer.order.unwrap_or_default().try_into()?
            }
            Err(error) => return Err(error.into()),
        };
        self.keep(side, order);
        Ok(())
    }

    fn keep(&mut self, side: Side, order: Order) {
        if working(&order) {
            self.quotes.insert(side, order);
        } else {
            self.quotes.remove(&side);
        }
    }

    /// Make a market until something ends it.
    async fn run(&mut self, end: impl Future<Output = ()>) -> Result<()> {
        let held =
            self.gateway.call(ListPositionsRequest { account_id: self.account.clone(), include_flat: false }).await?;
        if let Some(position) = held.positions.iter().find(|each| each.symbol == self.symbol) {
            self.position = decimal(&position.quantity, "quantity")?;
        }
        let mut fills = self.gateway.fills(FillOptions {
            account_ids: vec![self.account.clone()],
            symbols: vec![self.symbol.clone()],
            start: Start::After(held.cursor),
            ..FillOptions::default()
        });
        let mut market = Box::pin(quotes(self.gateway.clone(), self.account.clone(), self.symbol.clone()));
        let mut end = Box::pin(end);
        loop {
            tokio::select! {
                () = &mut end => break,
                fill = fills.next() => {
                    if let Item::Event(fill) = fill? {
                        self.fills += 1;
                        self.position += if fill.side() == Side::Buy { fill.quantity.clone() } else { -&fill.quantity };
                        println!("{:?} {} at {}, position {}", fill.side(), fill.quantity, fill.price, self.position);
                        if let Some(order) = self.quotes.get_mut(&fill.side()).filter(|order| order.order_id == fill.order_id) {
                            order.cum_quantity += &fill.quantity;
                            if order.cum_quantity >= order.quantity {
                                self.quotes.remove(&fill.side());
                            }
                        }
                    }
                }
                Some(quote) = market.next() => {
                    self.quote_at(Side::Buy, quote.bid_price.as_deref()).await?;
                    self.quote_at(Side::Sell, quote.ask_price.as_deref()).await?;
                }
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
        let orders = gateway.call(open).await?.orders.into_iter().map(|order| format!("order {}", order.order_id));
        let positions = gateway.call(held).await?.positions.into_iter().filter(|each| each.symbol == self.symbol);
        Ok(orders.chain(positions.map(|each| format!("position {}", each.quantity))).collect())
    }
}

/// The best bid and ask for ever: the stream is opened again where it ends.
fn quotes(gateway: Gateway, account: String, symbol: String) -> impl Stream<Item = Quote> {
    let (send, receive) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let request = StreamMarketDataRequest {
                target: Some(Target::AccountId(account.clone())),
                symbols: vec![symbol.clone()],
                kinds: vec![MarketDataKind::Quote.into()],
                min_interval: Some(prost_types::Duration { seconds: 0, nanos: 200_000_000 }),
                ..StreamMarketDataRequest::default()
            };
            match gateway.stream(tokio_stream::once(request)).await {
                Err(error) => println!("the market is away: {error}"),
                Ok(mut answers) => {
                    while let Some(Ok(answer)) = answers.next().await {
                        for update in answer.updates {
                            let Some(Data::Quote(quote)) = update.data else { continue };
                            if send.send(quote).await.is_err() {
                                return;
                            }
                        }
                    }
                }
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
    let seconds = option("--seconds", "");
    let seconds = if seconds.is_empty() { None } else { Some(seconds.parse()?) };
    let mut maker = Maker {
        gateway: Gateway::connect(&option("--address", "127.0.0.1:50051"), options)?,
        account: option("--account", "paper"),
        symbol: option("--symbol", "BTC/USDT"),
        quantity: decimal(&option("--quantity", "0.01"), "--quantity")?,
        position: BigDecimal::default(),
        quotes: HashMap::new(),
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
            match seconds {
                Some(seconds) => sleep(Duration::from_secs_f64(seconds)).await,
                None => pending().await,
            }
        };
        tokio::select! { () = timer => {}, _ = ctrl_c() => {}, _ = terminate.recv() => {} }
    };
    let ended = maker.run(end).await;
    let left = maker.flatten().await;
    println!("placed {}, replaced {}, fills {}", maker.placed, maker.replaced, maker.fills);
    let symbol = &maker.symbol;
    match left {
        Ok(left) if left.is_empty() => ended,
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
