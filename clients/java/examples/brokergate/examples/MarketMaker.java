package brokergate.examples;

import brokergate.client.Change;
import brokergate.client.Decimals;
import brokergate.client.Fill;
import brokergate.client.From;
import brokergate.client.Gateway;
import brokergate.client.GatewayException;
import brokergate.client.Order;
import brokergate.client.Orders;
import brokergate.client.ResumingStream;
import brokergate.client.Target;
import brokergate.v1.CancelAllOrdersRequest;
import brokergate.v1.ClosePositionRequest;
import brokergate.v1.ErrorReason;
import brokergate.v1.GetInstrumentRequest;
import brokergate.v1.InstrumentServiceGrpc;
import brokergate.v1.ListOrdersRequest;
import brokergate.v1.ListPositionsResponse;
import brokergate.v1.MarketDataServiceGrpc;
import brokergate.v1.MarketDataUpdate;
import brokergate.v1.OrderServiceGrpc;
import brokergate.v1.OrderSpec;
import brokergate.v1.OrderState;
import brokergate.v1.PositionServiceGrpc;
import brokergate.v1.Quote;
import brokergate.v1.Side;
import brokergate.v1.StreamMarketDataRequest;
import brokergate.v1.StreamMarketDataResponse;
import io.grpc.stub.StreamObserver;
import java.math.BigDecimal;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;

/**
 * A market maker for a paper account: it quotes one bid below the market's and one ask above it, moves them with it, follows
 * its fills, and on Ctrl+C, or after --seconds, cancels both and closes the position.
 *
 * <pre>build/market_maker --seconds 30</pre>
 */
public final class MarketMaker {
    /** Longer than the deadlines, one after the other, of the calls that it may be at. */
    private static final long LAST_WORDS_S = 90;

    private static final long LOOK_MS = 10;

    private final Gateway gateway;
    private final String account;
    private final String symbol;
    private final BigDecimal quantity;
    private final BigDecimal away;
    private final BigDecimal most;
    private final Target target;
    private final Map<Side, Order> orders = new HashMap<>();
    private final Map<Side, Unanswered> unanswered = new HashMap<>();
    private final AtomicReference<Quote> newest = new AtomicReference<>();
    private volatile BigDecimal position = BigDecimal.ZERO;
    private volatile int fills;
    private volatile GatewayException broken;
    private volatile boolean over;
    private int placed;
    private int replaced;

    /** An order that was placed, and nobody knows whether. */
    private record Unanswered(String clientOrderId, OrderSpec.Builder spec) {}

    private MarketMaker(Gateway gateway, Map<String, String> options) {
        this.gateway = gateway;
        account = options.get("account");
        target = Target.account(account);
        symbol = options.get("symbol");
        quantity = new BigDecimal(options.get("quantity"));
        most = quantity.multiply(new BigDecimal(options.get("most")));
        GetInstrumentRequest request =
                GetInstrumentRequest.newBuilder().setAccountId(account).setSymbol(symbol).build();
        BigDecimal tick =
                Decimals.of(
                        gateway.call(InstrumentServiceGrpc.getGetInstrumentMethod(), request)
                                .getInstrument()
                                .getPriceIncrement());
        away = tick.multiply(new BigDecimal(options.get("ticks")));
    }

    /** Makes a market until Ctrl+C, or for --seconds. */
    public static void main(String[] arguments) throws InterruptedException {
        Map<String, String> options =
                new HashMap<>(
                        Map.of(
                                "address", "127.0.0.1:50051",
                                "account", "paper",
                                "symbol", "BTC/USDT",
                                "quantity", "0.01",
                                "ticks", "20",
                                "most", "5",
                                "interval", "0.2",
                                "seconds", "0"));
        for (int index = 0; index < arguments.length; index += 2) {
            String name = arguments[index].replaceFirst("^--", "");
            if (index + 1 == arguments.length || options.put(name, arguments[index + 1]) == null) {
                throw new IllegalArgumentException("no option " + arguments[index] + ", or no value for it");
            }
        }
        double seconds = Double.parseDouble(options.get("seconds"));
        double interval = Double.parseDouble(options.get("interval"));
        Gateway.Builder builder = Gateway.at(options.get("address"));
        String token = System.getenv("BROKERGATE_TOKEN");
        if (token != null) {
            builder.token(token);
        }
        CountDownLatch interrupted = new CountDownLatch(1);
        CountDownLatch over = new CountDownLatch(1);
        AtomicInteger status = new AtomicInteger(1);
        // The virtual machine ends once its hooks have: here, after the position is closed.
        Thread hook =
                new Thread(
                        () -> {
                            interrupted.countDown();
                            try {
                                over.await(LAST_WORDS_S, TimeUnit.SECONDS);
                            } catch (InterruptedException hurried) {
                                Thread.currentThread().interrupt();
                            }
                            // Ctrl+C is how it is meant to end; without this the status would be that of a signal.
                            Runtime.getRuntime().halt(status.get());
                        });
        Runtime.getRuntime().addShutdownHook(hook);
        try (Gateway gateway = builder.connect()) {
            if (new MarketMaker(gateway, options).run(interrupted, seconds, interval)) {
                status.set(0);
            }
        } catch (GatewayException | NumberFormatException failed) {
            System.err.println(failed);
        }
        over.countDown();
        if (interrupted.getCount() > 0) {
            Runtime.getRuntime().removeShutdownHook(hook);
            System.exit(status.get());
        }
    }

    /** Returns whether all went well: it is flat, and nothing else ended it. */
    private boolean run(CountDownLatch interrupted, double seconds, double interval) throws InterruptedException {
        long end = System.nanoTime() + (long) (seconds * 1e9);
        ListPositionsResponse held = gateway.positions(account);
        position = holding(held);
        ResumingStream<Fill> stream = gateway.fills(From.after(held.getCursor(), account).symbols(symbol));
        Thread follower = new Thread(() -> follow(stream), "fills");
        follower.start();
        subscribe((long) (interval * 1000));
        try {
            while (broken == null
                    && (seconds == 0 || System.nanoTime() - end < 0)
                    && !interrupted.await(LOOK_MS, TimeUnit.MILLISECONDS)) {
                Quote quote = newest.getAndSet(null);
                if (quote != null) {
                    move(quote);
                }
            }
        } catch (GatewayException failed) {
            broken = failed;
        }
        over = true;
        String left;
        try {
            left = flatten();
        } catch (GatewayException failed) {
            left = " orders and a position, as far as is known: " + failed;
        }
        stream.close();
        follower.join();
        System.out.printf("placed %d, replaced %d, fills %d%n", placed, replaced, fills);
        if (left.isEmpty()) {
            System.out.println("flat");
        } else {
            System.err.println("NOT FLAT in " + symbol + ":" + left);
        }
        if (broken != null) {
            System.err.println(broken);
        }
        return broken == null && left.isEmpty();
    }

    private void follow(ResumingStream<Fill> stream) {
        try {
            while (true) {
                Fill fill = stream.next();
                boolean buy = fill.message().getSide() == Side.SIDE_BUY;
                position = position.add(buy ? fill.quantity() : fill.quantity().negate());
                fills++;
                System.out.printf(
                        "%s %s at %s, position %s%n",
                        buy ? "BUY" : "SELL",
                        fill.quantity().toPlainString(),
                        fill.price().toPlainString(),
                        position.toPlainString());
            }
        } catch (GatewayException ended) {
            if (ended.code() != io.grpc.Status.Code.CANCELLED) {
                broken = ended;
            }
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /** Keeps the newest quote; market data has no cursor to resume from, and is opened anew where its stream ends. */
    private void subscribe(long interval) {
        StreamMarketDataRequest request =
                StreamMarketDataRequest.newBuilder()
                        .setAccountId(account)
                        .addSymbols(symbol)
                        .setMinInterval(
                                com.google.protobuf.Duration.newBuilder()
                                        .setSeconds(interval / 1000)
                                        .setNanos((int) (interval % 1000) * 1_000_000))
                        .build();
        MarketDataServiceGrpc.newStub(gateway.channel())
                .streamMarketData(
                        request,
                        new StreamObserver<>() {
                            @Override
                            public void onNext(StreamMarketDataResponse answer) {
                                for (MarketDataUpdate update : answer.getUpdatesList()) {
                                    if (update.hasQuote()) {
                                        newest.set(update.getQuote());
                                    }
                                }
                            }

                            @Override
                            public void onError(Throwable thrown) {
                                if (over) {
                                    return;
                                }
                                GatewayException error = GatewayException.of(thrown);
                                switch (error.code()) {
                                    case INVALID_ARGUMENT,
                                            NOT_FOUND,
                                            FAILED_PRECONDITION,
                                            UNAUTHENTICATED,
                                            PERMISSION_DENIED,
                                            UNIMPLEMENTED -> broken = error;
                                    default -> {
                                        System.out.println("market data: " + error);
                                        pause();
                                        subscribe(interval);
                                    }
                                }
                            }

                            @Override
                            public void onCompleted() {
                                pause();
                                subscribe(interval);
                            }
                        });
    }

    private static void pause() {
        try {
            Thread.sleep(Duration.ofSeconds(1).toMillis());
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /** Puts a quote behind each of the best prices; a side without one stays as it is. */
    private void move(Quote market) {
        BigDecimal room = most.subtract(quantity);
        if (market.hasBidPrice()) {
            BigDecimal price = Decimals.of(market.getBidPrice()).subtract(away);
            quote(Side.SIDE_BUY, price, position.compareTo(room) <= 0);
        }
        if (market.hasAskPrice()) {
            BigDecimal price = Decimals.of(market.getAskPrice()).add(away);
            quote(Side.SIDE_SELL, price, position.compareTo(room.negate()) >= 0);
        }
    }

    /** Has the side's order work at the price, or not at all. Where that fails the next quote tries again. */
    private void quote(Side side, BigDecimal price, boolean wanted) {
        Order order = orders.get(side);
        Order now;
        try {
            now = movedOrLooked(side, order, price, wanted);
        } catch (GatewayException error) {
            System.out.println(side + ": " + error);
            return;
        }
        if (now == null || now.ended()) {
            orders.remove(side);
        } else {
            orders.put(side, now);
        }
    }

    private Order movedOrLooked(Side side, Order order, BigDecimal price, boolean wanted) {
        try {
            return moved(side, order, price, wanted);
        } catch (GatewayException error) {
            if (order == null) {
                throw error;
            }
            if (error.reason() != ErrorReason.ERROR_REASON_ORDER_ENDED) {
                System.out.println(side + ": " + error);
            }
            // It filled, somebody else changed it, or the outcome is not known: what it is now decides.
            return gateway.order(target, Orders.byId(order.orderId()));
        }
    }

    /** The side's order as it is after what there was to do. */
    private Order moved(Side side, Order order, BigDecimal price, boolean wanted) {
        if (order == null) {
            return wanted || unanswered.containsKey(side) ? place(side, price) : null;
        }
        if (!wanted) {
            return gateway.cancel(target, Orders.byId(order.orderId()));
        }
        if (price.compareTo(Decimals.of(order.message().getSpec().getLimitPrice())) == 0) {
            // It may have filled here, or somebody else have ended it.
            return gateway.order(target, Orders.byId(order.orderId()));
        }
        int generation = order.message().getGeneration();
        Order now = gateway.replace(target, Orders.byId(order.orderId()), generation, new Change().limitPrice(price));
        replaced++;
        return now;
    }

    /** Places a quote, or learns what became of one whose answer never came: under its id it is placed once. */
    private Order place(Side side, BigDecimal price) {
        Unanswered open = unanswered.remove(side);
        String name = open == null ? "" : open.clientOrderId();
        OrderSpec.Builder spec =
                open == null ? Orders.limit(symbol, side, quantity, price).setPostOnly(true) : open.spec();
        Order order;
        try {
            order = gateway.place(target, spec, name).order();
        } catch (GatewayException error) {
            if (error.outcomeUnknown()) {
                unanswered.put(side, new Unanswered(error.requestId(), spec));
            }
            throw error;
        }
        if (order.message().getState() == OrderState.ORDER_STATE_REJECTED) {
            System.out.println(
                    side + ": " + order.message().getRejectReason() + ": " + order.message().getRejectMessage());
        } else {
            placed++;
        }
        return order;
    }

    /** Cancels what works on the symbol and closes the position; returns what is left. */
    private String flatten() {
        gateway.call(
                OrderServiceGrpc.getCancelAllOrdersMethod(),
                CancelAllOrdersRequest.newBuilder().setAccountId(account).setSymbol(symbol).build());
        try {
            brokergate.v1.Order closing =
                    gateway.call(
                                    PositionServiceGrpc.getClosePositionMethod(),
                                    ClosePositionRequest.newBuilder().setAccountId(account).setSymbol(symbol).build())
                            .getOrder();
            System.out.println("closed: " + closing.getSpec().getSide() + " " + closing.getCumQuantity());
        } catch (GatewayException error) {
            if (error.reason() != ErrorReason.ERROR_REASON_POSITION_NOT_FOUND) {
                throw error;
            }
        }
        StringBuilder left = new StringBuilder();
        ListOrdersRequest open =
                ListOrdersRequest.newBuilder().setAccountId(account).setSymbol(symbol).setOpenOnly(true).build();
        gateway.call(OrderServiceGrpc.getListOrdersMethod(), open)
                .getOrdersList()
                .forEach(order -> left.append(" order ").append(order.getOrderId()));
        ListPositionsResponse held = gateway.positions(account);
        if (held.getStale()) {
            left.append(" a position, as far as is known: the broker is away");
        }
        if (holding(held).signum() != 0) {
            left.append(" position ").append(holding(held).toPlainString());
        }
        return left.toString();
    }

    private BigDecimal holding(ListPositionsResponse held) {
        return held.getPositionsList().stream()
                .filter(each -> each.getSymbol().equals(symbol))
                .map(each -> Decimals.of(each.getQuantity()))
                .findFirst()
                .orElse(BigDecimal.ZERO);
    }
}
