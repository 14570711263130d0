//! The client against a gateway that runs, dies and comes back.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use brokergate_client::{
    Change, Code, Error, Exactly, Fill, FillOptions, FillStream, Gateway, Item, Once, Options, OrderName, Place, Start,
    decimal, limit_order, market_order,
    v1::{
        BatchOrder, BatchPlaceOrdersRequest, ErrorReason, GetOrderRequest, ListAccountsRequest, OrderCommand,
        OrderState, PlaceOrderRequest, Side, StreamOrderEntryRequest, batch_place_orders_request,
        order_command::Command as Entry, order_command_result::Result as Done, place_order_request::Target,
    },
};
use tempfile::TempDir;
use tokio_stream::StreamExt as _;

const BTC: &str = "BTC/USDT";
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// `brokergate serve` as a process of its own, over data that outlives it.
struct Server {
    folder: TempDir,
    address: String,
    process: Option<Child>,
}

impl Server {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self { folder, address: "127.0.0.1:0".to_owned(), process: None };
        server.start_again().await;
        server
    }

    /// Start a process on the same data and, after the first time, the same port; it serves when this returns.
    async fn start_again(&mut self) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let python = env::var_os("PYTHON").map_or_else(|| root.join(".venv/bin/python"), PathBuf::from);
        let data = self.folder.path().join("data");
        let file = data.join("address");
        let _ = fs::remove_file(&file);
        let mut command = Command::new(python);
        command.args(["-m", "brokergate", "serve", "--listen", &self.address, "--data-dir"]).arg(&data);
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BROKERGATE_")) {
            command.env_remove(name);
        }
        command.env("PYTHONPATH", root.join("server")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = self.process.insert(command.spawn().unwrap());
        let end = Instant::now() + START_TIMEOUT;
        self.address = loop {
            assert!(process.try_wait().unwrap().is_none(), "the gateway ended before it served");
            assert!(Instant::now() < end, "the gateway did not start");
            if let Some((address, _)) = fs::read_to_string(&file).unwrap_or_default().split_once('\n') {
                break address.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        assert!(self.gateway().within(START_TIMEOUT).is_serving("").await.unwrap());
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    fn gateway(&self) -> Gateway {
        Gateway::connect(&self.address, Options::default()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn market(id: &str) -> Place {
    Place { client_order_id: id.to_owned(), ..market_order(BTC, Side::Buy, "0.001") }
}

fn paper(start: Start) -> FillOptions {
    FillOptions {
        account_ids: vec!["paper".to_owned()],
        start,
        heartbeat: Some(Duration::from_secs(1)),
        ..FillOptions::default()
    }
}

async fn next_fill(stream: &mut FillStream) -> Result<Fill, Error> {
    loop {
        if let Item::Event(fill) = stream.next().await? {
            return Ok(fill);
        }
    }
}

/// On one thread, where nothing can be answered while it is asked.
#[tokio::test]
async fn who_never_waits_for_long_is_given_the_fills_all_the_same() {
    let server = Server::start().await;
    let gateway = server.gateway();
    gateway.place("paper", market("one")).await.unwrap();
    let mut fills = gateway.fills(paper(Start::Earliest));
    let end = Instant::now() + Duration::from_secs(20);
    let fill = loop {
        assert!(Instant::now() < end, "the stream was never opened");
        tokio::select! {
            biased;
            item = fills.next() => if let Item::Event(fill) = item.unwrap() { break fill },
            () = std::future::ready(()) => {}
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(fill.client_order_id, "one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_placed_once_under_its_id_changed_and_cancelled() {
    let server = Server::start().await;
    let gateway = server.gateway();
    let order = || Place { client_order_id: "twice".to_owned(), ..limit_order(BTC, Side::Buy, "0.1", "1000.00") };
    let first = gateway.place("paper", order()).await.unwrap();
    let again = gateway.place("paper", order()).await.unwrap();
    assert_eq!((first.already_existed, again.already_existed), (false, true));
    assert_eq!(first.order.order_id, again.order.order_id);
    assert_eq!(first.order.leaves_quantity, decimal("0.1", "").unwrap());

    let name = OrderName::Id(first.order.order_id.clone());
    let to = |price: &str| Change { limit_price: Some(Exactly::from(price)), ..Change::default() };
    let changed = gateway.replace("paper", name.clone(), 1, to("999"), Once::default()).await.unwrap();
    assert_eq!((changed.generation, changed.limit_price.clone()), (2, Some(999.into())));
    let stale = gateway.replace("paper", name, 1, to("998"), Once::default()).await.unwrap_err();
    assert_eq!(stale.reason, ErrorReason::GenerationMismatch);
    let gone = gateway.cancel("paper", OrderName::ClientOrderId("twice".to_owned()), Once::default()).await.unwrap();
    assert_eq!(gone.state(), OrderState::Canceled);

    let off = Place { client_order_id: "off".to_owned(), ..limit_order(BTC, Side::Buy, "0.1", "1000.001") };
    let error = gateway.place("paper", off).await.unwrap_err();
    assert_eq!((error.code, error.reason), (Code::InvalidArgument, ErrorReason::PriceOffTick));
    assert_eq!((error.id.as_str(), error.outcome_unknown), ("off", false));
    assert_eq!(error.violations[0].field, "order.limit_price");
    let error = gateway.place("paper", limit_order(BTC, Side::Buy, "0.1", "1e3")).await.unwrap_err();
    assert_eq!((error.reason, error.violations[0].field.as_str()), (ErrorReason::InvalidField, "order.limit_price"));
    let error = gateway.call(GetOrderRequest::default()).await.unwrap_err();
    assert_eq!((error.code, error.id.as_str()), (Code::InvalidArgument, ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_entry_streams() {
    let server = Server::start().await;
    let gateway = server.gateway();
    let command = |id: &str| OrderCommand {
        request_id: id.to_owned(),
        command: Some(Entry::Place(PlaceOrderRequest {
            target: Some(Target::AccountId("paper".to_owned())),
            client_order_id: format!("entry-{id}"),
            order: Some(market_spec()),
            ..PlaceOrderRequest::default()
        })),
    };
    let request = StreamOrderEntryRequest { commands: vec![command("a"), command("b")], ..Default::default() };
    let mut answers = gateway.stream(tokio_stream::once(request)).await.unwrap();
    let mut done = Vec::new();
    while let Some(answer) = answers.next().await {
        for result in answer.unwrap().results {
            assert!(matches!(result.result, Some(Done::Order(order)) if order.state() == OrderState::Filled));
            done.push(result.request_id);
        }
    }
    done.sort();
    assert_eq!(done, ["a", "b"]);
}

fn market_spec() -> brokergate_client::v1::OrderSpec {
    use brokergate_client::v1::order_spec::Size;
    let mut spec = market("").spec;
    spec.size = Some(Size::Quantity("0.001".to_owned()));
    spec
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fills_come_once_over_kills() {
    const WANTED: usize = 30;
    let mut server = Server::start().await;
    let gateway = server.gateway().within(START_TIMEOUT);
    let mut stream = gateway.fills(paper(Start::Earliest));
    assert!(matches!(stream.next().await.unwrap(), Item::CaughtUp { .. }));
    let reader = tokio::spawn(async move {
        let mut fills = Vec::new();
        while fills.len() < WANTED {
            fills.push(next_fill(&mut stream).await.unwrap());
        }
        (fills, stream)
    });
    for number in 0..WANTED {
        let (gateway, id) = (gateway.clone(), format!("order-{number}"));
        let placing = tokio::spawn(async move { gateway.place("paper", market(&id)).await });
        if number % 10 == 5 {
            tokio::task::yield_now().await;
            server.kill();
            server.start_again().await;
        }
        assert_eq!(placing.await.unwrap().unwrap().order.state(), OrderState::Filled);
    }
    let (fills, stream) = reader.await.unwrap();
    let ids: Vec<_> = fills.iter().map(|fill| fill.client_order_id.as_str()).collect();
    assert_eq!(ids, (0..WANTED).map(|number| format!("order-{number}")).collect::<Vec<_>>());
    assert!(stream.reconnects() >= 3);

    let mut rest = gateway.fills(paper(Start::After(fills[WANTED - 2].cursor.clone())));
    assert_eq!(next_fill(&mut rest).await.unwrap().fill_id, fills[WANTED - 1].fill_id);
    let other = Server::start().await;
    let mut foreign = other.gateway().fills(paper(Start::After(stream.cursor().to_owned())));
    assert_eq!(foreign.next().await.unwrap_err().reason, ErrorReason::CursorEpoch);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_nobody_reads_hold_up_no_call() {
    let server = Server::start().await;
    let gateway = server.gateway().within(START_TIMEOUT);
    let item = || BatchOrder { order: Some(market_spec()), ..BatchOrder::default() };
    for _ in 0..20 {
        let target = Some(batch_place_orders_request::Target::AccountId("paper".to_owned()));
        let orders = (0..500).map(|_| item()).collect();
        gateway.call(BatchPlaceOrdersRequest { target, orders }).await.unwrap();
    }
    // Each has more to give than its window holds, and all of them together more than a connection's does by default.
    let mut streams: Vec<_> = (0..4).map(|_| gateway.fills(paper(Start::Earliest))).collect();
    for stream in &mut streams {
        next_fill(stream).await.unwrap();
    }
    for number in 0..20 {
        gateway.place("paper", market(&format!("beside-{number}"))).await.unwrap();
    }
}

#[tokio::test]
async fn a_gateway_that_is_not_there_is_an_error_in_time_and_its_outcome_unknown() {
    let options = Options { deadline: Duration::from_millis(500), ..Options::default() };
    let nobody = Gateway::connect("127.0.0.1:1", options).unwrap();
    let error = nobody.place("paper", market("lost")).await.unwrap_err();
    assert!(matches!(error.code, Code::Unavailable | Code::DeadlineExceeded), "{error}");
    assert_eq!((error.id.as_str(), error.outcome_unknown), ("lost", true));
    let error = nobody.call(ListAccountsRequest::default()).await.unwrap_err();
    assert!(!error.outcome_unknown);
}
