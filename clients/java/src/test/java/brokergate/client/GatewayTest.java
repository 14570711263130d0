package brokergate.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import brokergate.v1.CaughtUp;
import brokergate.v1.ErrorReason;
import brokergate.v1.Event;
import brokergate.v1.EventBatch;
import brokergate.v1.EventServiceGrpc;
import brokergate.v1.FillEvent;
import brokergate.v1.LinkedOrder;
import brokergate.v1.OrderServiceGrpc;
import brokergate.v1.OrderSpec;
import brokergate.v1.OrderState;
import brokergate.v1.PlaceOrderRequest;
import brokergate.v1.PlaceOrderResponse;
import brokergate.v1.ProtectiveLeg;
import brokergate.v1.Side;
import brokergate.v1.StreamClosing;
import brokergate.v1.StreamFillsRequest;
import brokergate.v1.StreamFillsResponse;
import brokergate.v1.StreamOpened;
import com.google.protobuf.Any;
import com.google.rpc.BadRequest;
import com.google.rpc.Code;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Context;
import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.math.BigDecimal;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Semaphore;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The client against a gateway that answers as each test says, over a real socket. */
@Timeout(30)
class GatewayTest {
    private static final Target PAPER = Target.account("paper");

    private final List<AutoCloseable> open = new ArrayList<>();

    /** Answers orders and streams of fills, script by script; the last one serves all that come after it. */
    private static final class Fake {
        final List<StatusRuntimeException> refusals = new ArrayList<>();
        final List<Stream> streams = new ArrayList<>();
        final List<PlaceOrderRequest> placed = new CopyOnWriteArrayList<>();
        final List<StreamFillsRequest> opened = new CopyOnWriteArrayList<>();
        final List<String> tokens = new CopyOnWriteArrayList<>();
        final Semaphore asked = new Semaphore(0);

        final OrderServiceGrpc.OrderServiceImplBase orderService =
                new OrderServiceGrpc.OrderServiceImplBase() {
                    @Override
                    public void placeOrder(PlaceOrderRequest request, StreamObserver<PlaceOrderResponse> answer) {
                        placed.add(request);
                        asked.release();
                        StatusRuntimeException refusal =
                                refusals.isEmpty() ? null : refusals.get(Math.min(placed.size(), refusals.size()) - 1);
                        if (refusal != null) {
                            answer.onError(refusal);
                            return;
                        }
                        answer.onNext(
                                PlaceOrderResponse.newBuilder()
                                        .setOrder(
                                                brokergate.v1.Order.newBuilder()
                                                        .setClientOrderId(request.getClientOrderId())
                                                        .setState(OrderState.ORDER_STATE_FILLED)
                                                        .setQuantity("0.10")
                                                        .setAveragePrice("60000.5"))
                                        .build());
                        answer.onCompleted();
                    }
                };

        final EventServiceGrpc.EventServiceImplBase eventService =
                new EventServiceGrpc.EventServiceImplBase() {
                    @Override
                    public void streamFills(StreamFillsRequest request, StreamObserver<StreamFillsResponse> answer) {
                        ((ServerCallStreamObserver<?>) answer).setOnCancelHandler(() -> {});
                        opened.add(request);
                        Stream script = streams.get(Math.min(opened.size(), streams.size()) - 1);
                        script.says.forEach(answer::onNext);
                        if (script.end != null) {
                            answer.onError(script.end);
                        } else if (!script.stays) {
                            answer.onCompleted();
                        }
                    }
                };
    }

    /** What one connection of a stream says, and whether it then stays, or how it ends. */
    private record Stream(boolean stays, StatusRuntimeException end, List<StreamFillsResponse> says) {
        static Stream stays(StreamFillsResponse... says) {
            return new Stream(true, null, List.of(says));
        }

        static Stream ends(StatusRuntimeException end, StreamFillsResponse... says) {
            return new Stream(false, end, List.of(says));
        }
    }

    private Gateway.Builder serving(Fake fake) throws IOException {
        ServerInterceptor ear =
                new ServerInterceptor() {
                    @Override
                    public <Q, A> ServerCall.Listener<Q> interceptCall(
                            ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
                        fake.tokens.add(
                                "" + headers.get(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER)));
                        return next.startCall(call, headers);
                    }
                };
        Server server =
                Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
                        .addService(fake.orderService)
                        .addService(fake.eventService)
                        .intercept(ear)
                        .build()
                        .start();
        open.add(server::shutdownNow);
        return Gateway.at("127.0.0.1:" + server.getPort());
    }

    private Gateway connected(Gateway.Builder builder) {
        Gateway gateway = builder.connect();
        open.add(0, gateway);
        return gateway;
    }

    @AfterEach
    void close() throws Exception {
        for (AutoCloseable each : open) {
            each.close();
        }
    }

    private static OrderSpec.Builder order() {
        return Orders.market("BTC/USDT", Side.SIDE_BUY, new BigDecimal("0.1"));
    }

    private static StatusRuntimeException lost() {
        return Status.UNAVAILABLE.withDescription("the connection broke").asRuntimeException();
    }

    private static StatusRuntimeException refusal(Code code, String reason) {
        return refusal(code, reason, Duration.ofMillis(1));
    }

    private static StatusRuntimeException refusal(Code code, String reason, Duration delay) {
        return StatusProto.toStatusRuntimeException(
                com.google.rpc.Status.newBuilder()
                        .setCode(code.getNumber())
                        .setMessage("as the test says")
                        .addDetails(
                                Any.pack(
                                        ErrorInfo.newBuilder()
                                                .setDomain("brokergate")
                                                .setReason(reason)
                                                .putMetadata("fact", "1")
                                                .build()))
                        .addDetails(
                                Any.pack(
                                        BadRequest.newBuilder()
                                                .addFieldViolations(
                                                        BadRequest.FieldViolation.newBuilder()
                                                                .setField("order")
                                                                .setDescription("bad"))
                                                .build()))
                        .addDetails(
                                Any.pack(
                                        RetryInfo.newBuilder()
                                                .setRetryDelay(
                                                        com.google.protobuf.Duration.newBuilder()
                                                                .setSeconds(delay.getSeconds())
                                                                .setNanos(delay.getNano()))
                                                .build()))
                        .build());
    }

    private static GatewayException refused(Gateway gateway) {
        return assertThrows(GatewayException.class, () -> gateway.place(PAPER, order()));
    }

    @Test
    void anOrderIsRepeatedUnderTheSameIdUntilItIsAnswered() throws IOException {
        Fake fake = new Fake();
        fake.refusals.add(refusal(Code.UNAVAILABLE, "RECOVERING"));
        fake.refusals.add(lost());
        fake.refusals.add(null);
        Placed placed = connected(serving(fake)).place(PAPER, order());
        assertEquals(3, fake.placed.size());
        for (PlaceOrderRequest request : fake.placed) {
            assertEquals(26, request.getClientOrderId().length());
            assertEquals(placed.order().clientOrderId(), request.getClientOrderId());
        }
        assertEquals(new BigDecimal("60000.5"), placed.order().averagePrice().orElseThrow());
        assertTrue(placed.order().ended());
    }

    @Test
    void aLostAnswerNamesTheIdWhenTimeRunsOut() throws IOException {
        Fake fake = new Fake();
        fake.refusals.add(lost());
        fake.refusals.add(refusal(Code.UNAVAILABLE, "RECOVERING", Duration.ofHours(1)));
        GatewayException error = refused(connected(serving(fake)));
        assertTrue(error.outcomeUnknown());
        assertEquals(fake.placed.get(0).getClientOrderId(), error.requestId());
        assertTrue(error.toString().contains(error.requestId()));
    }

    @Test
    void aGatewayThatNeverTookItLeavesNoDoubt() throws IOException {
        Fake fake = new Fake();
        fake.refusals.add(refusal(Code.UNAVAILABLE, "RECOVERING", Duration.ofHours(1)));
        GatewayException error = refused(connected(serving(fake)));
        assertEquals(Status.Code.UNAVAILABLE, error.code());
        assertFalse(error.outcomeUnknown());
        assertFalse(error.requestId().isEmpty());
    }

    @Test
    void theGatewaysWordEndsTheDoubtAndIsTyped() throws IOException {
        Fake fake = new Fake();
        fake.refusals.add(lost());
        fake.refusals.add(refusal(Code.INVALID_ARGUMENT, "PRICE_OFF_TICK"));
        GatewayException error = refused(connected(serving(fake)));
        assertEquals(2, fake.placed.size());
        assertFalse(error.outcomeUnknown());
        assertEquals(Status.Code.INVALID_ARGUMENT, error.code());
        assertEquals(ErrorReason.ERROR_REASON_PRICE_OFF_TICK, error.reason());
        assertEquals("PRICE_OFF_TICK", error.reasonName());
        assertEquals(Map.of("fact", "1"), error.metadata());
        assertEquals(List.of(new FieldViolation("order", "bad")), error.violations());
        assertEquals(Duration.ofMillis(1), error.retryDelay().orElseThrow());
    }

    @Test
    void aGatewayThatIsDownIsAReadableError() {
        GatewayException error = refused(connected(Gateway.at("127.0.0.1:1")).within(Duration.ofSeconds(2)));
        assertEquals(Status.Code.UNAVAILABLE, error.code());
        assertTrue(error.getMessage().contains("Connection refused"), error.getMessage());
    }

    @Test
    void aReasonOfANewerGatewayIsKeptAsText() throws IOException {
        Fake fake = new Fake();
        fake.refusals.add(refusal(Code.FAILED_PRECONDITION, "FULL_MOON"));
        GatewayException error = refused(connected(serving(fake)));
        assertEquals("FULL_MOON", error.reasonName());
        assertEquals(ErrorReason.ERROR_REASON_UNSPECIFIED, error.reason());
    }

    @Test
    void aCallEndsWhenItsCallerCancelsAndWhenItsClientIsClosed() throws Exception {
        Fake fake = new Fake();
        fake.refusals.add(lost());
        Gateway gateway = connected(serving(fake).deadline(Duration.ofSeconds(20)));
        Context.CancellableContext context = Context.current().withCancellation();
        CompletableFuture<GatewayException> ended = new CompletableFuture<>();
        Runnable call = () -> ended.complete(refused(gateway));
        new Thread(context.wrap(call)).start();
        fake.asked.acquire();
        context.cancel(null);
        assertEquals(Status.Code.CANCELLED, ended.get().code());
        assertTrue(ended.get().outcomeUnknown());

        CompletableFuture<GatewayException> closed = new CompletableFuture<>();
        fake.asked.drainPermits();
        new Thread(() -> closed.complete(refused(gateway))).start();
        fake.asked.acquire();
        gateway.close();
        assertEquals("this client was closed", closed.get().getMessage());
    }

    @Test
    void aBracketsLegsAreNamedAfterTheirEntry() throws IOException {
        Fake fake = new Fake();
        PlaceOrderRequest request =
                PlaceOrderRequest.newBuilder()
                        .setAccountId("paper")
                        .setOrder(
                                order().setTakeProfit(ProtectiveLeg.newBuilder().setLimitPrice("2"))
                                        .setStopLoss(
                                                ProtectiveLeg.newBuilder().setStopPrice("1").setClientOrderId("mine")))
                        .addOcoOrders(LinkedOrder.newBuilder().setOrder(order()))
                        .build();
        connected(serving(fake)).place(request);
        PlaceOrderRequest sent = fake.placed.get(0);
        assertEquals(sent.getClientOrderId() + "-tp", sent.getOrder().getTakeProfit().getClientOrderId());
        assertEquals("mine", sent.getOrder().getStopLoss().getClientOrderId());
        assertEquals(sent.getClientOrderId() + "-2", sent.getOcoOrders(0).getClientOrderId());
    }

    @Test
    void decimalsAreExactToTheirLimits() {
        for (String text : List.of("0", "-1", "0.10", "99999999999999999999.999999999999999999", "-0.000000000000000001")) {
            assertEquals(text, Decimals.text(Decimals.parse("price", text)));
        }
        for (String text : List.of("", "1e5", "NaN", "+1", "1.", ".1", " 1", "1\n", "٣", "100000000000000000000")) {
            GatewayException error = assertThrows(GatewayException.class, () -> Decimals.parse("price", text), text);
            assertEquals("price", error.violations().get(0).field());
        }
        assertEquals("12000", Decimals.text(new BigDecimal("12E3")));
        BigDecimal product = new BigDecimal("0.1000000000").multiply(new BigDecimal("60000.5000000000"));
        assertEquals("6000.05", Decimals.text(product));
    }

    @Test
    void aNumberThatTheContractDoesNotAllowIsNotSent() throws IOException {
        Fake fake = new Fake();
        Gateway gateway = connected(serving(fake));
        for (String number : List.of("1E20", "1E-19", "1E2000000000")) {
            BigDecimal price = new BigDecimal(number);
            GatewayException error =
                    assertThrows(
                            GatewayException.class,
                            () -> gateway.place(PAPER, Orders.limit("BTC/USDT", Side.SIDE_BUY, price, price)));
            assertEquals(ErrorReason.ERROR_REASON_INVALID_FIELD, error.reason());
            assertEquals(
                    List.of("order.quantity", "order.limit_price"),
                    error.violations().stream().map(FieldViolation::field).toList());
        }
        assertEquals(List.of(), fake.placed);
    }

    @Test
    void idsAreUniqueAndSort() {
        List<String> made = new ArrayList<>();
        for (int count = 0; count < 10_000; count++) {
            made.add(Ids.next());
        }
        assertEquals(10_000, new HashSet<>(made).size());
        assertEquals(made.stream().sorted().toList(), made);
        assertTrue(made.stream().allMatch(id -> id.matches("[0-9A-HJKMNP-TV-Z]{26}")));
    }

    @Test
    void aTokenIsSentAndNeverShown() throws IOException {
        Fake fake = new Fake();
        Gateway.Builder builder = serving(fake).token("s3cret-token");
        Gateway gateway = connected(builder);
        gateway.place(PAPER, order());
        assertEquals(List.of("Bearer s3cret-token"), fake.tokens);
        assertFalse((builder + " " + gateway + " " + gateway.channel()).contains("s3cret"));
    }

    @Test
    void aTokenStaysOnThisMachineWithoutTls() {
        List<String> elsewhere =
                List.of(
                        "192.0.2.1:1",
                        "gateway.example:1",
                        "dns:///gateway.example:1",
                        "dns://127.0.0.1/gateway.example:1",
                        "localhost.example:1",
                        "127.0.0.1.example:1");
        for (String address : elsewhere) {
            GatewayException error =
                    assertThrows(GatewayException.class, () -> Gateway.at(address).token("s3cret").connect(), address);
            assertFalse(error.toString().contains("s3cret"));
            connected(Gateway.at(address).token("s3cret").plaintextToken());
        }
        for (String address : List.of("127.0.0.1:1", "localhost:1", "[::1]:1", "dns:///127.0.0.1:1")) {
            connected(Gateway.at(address).token("s3cret"));
        }
        for (String token : List.of("", "a b", "a\nb", "é")) {
            assertThrows(GatewayException.class, () -> Gateway.at("127.0.0.1:1").token(token));
        }
    }

    private static StreamFillsResponse opening(long epoch) {
        return StreamFillsResponse.newBuilder()
                .setCursor("opened")
                .setOpened(StreamOpened.newBuilder().setEpoch(epoch))
                .build();
    }

    /** A fill of the account "a" for each sequence. */
    private static StreamFillsResponse batch(long... sequences) {
        EventBatch.Builder batch = EventBatch.newBuilder();
        String cursor = "";
        for (long sequence : sequences) {
            cursor = "message " + sequence;
            batch.addEvents(
                    Event.newBuilder()
                            .setEventId("e" + sequence)
                            .setAccountId("a")
                            .setSequence(sequence)
                            .setCursor("event " + sequence)
                            .setFill(
                                    FillEvent.newBuilder()
                                            .setFill(
                                                    brokergate.v1.Fill.newBuilder()
                                                            .setQuantity("0.10")
                                                            .setPrice("60000"))));
        }
        return StreamFillsResponse.newBuilder().setCursor(cursor).setBatch(batch).build();
    }

    private static List<String> taken(ResumingStream<Fill> fills, int count, List<String> cursors)
            throws InterruptedException {
        List<String> ids = new ArrayList<>();
        for (int index = 0; index < count; index++) {
            Fill fill = fills.next();
            ids.add(fill.eventId());
            cursors.add(fill.cursor());
        }
        return ids;
    }

    @Test
    void aStreamResumesByItsCursorAndGivesEachFillOnce() throws Exception {
        Fake fake = new Fake();
        StreamFillsResponse closing =
                StreamFillsResponse.newBuilder()
                        .setCursor("message 5")
                        .setClosing(StreamClosing.newBuilder().setReason(ErrorReason.ERROR_REASON_SHUTTING_DOWN))
                        .build();
        fake.streams.add(Stream.ends(lost(), opening(1), batch(1, 2)));
        fake.streams.add(Stream.ends(refusal(Code.RESOURCE_EXHAUSTED, "SLOW_CONSUMER"), opening(1), batch(2, 3, 4)));
        fake.streams.add(Stream.ends(null, opening(1), batch(4, 5), closing));
        fake.streams.add(Stream.ends(null, opening(1), StreamFillsResponse.newBuilder().setCursor("newer").build()));
        fake.streams.add(Stream.stays(opening(2), batch(1)));
        ResumingStream<Fill> fills = connected(serving(fake)).fills(From.after("kept", "a"));
        List<String> cursors = new ArrayList<>();
        assertEquals(List.of("e1", "e2", "e3", "e4", "e5", "e1"), taken(fills, 6, cursors));
        assertEquals(
                List.of("event 1", "message 2", "event 3", "message 4", "message 5", "message 1"), cursors);
        assertEquals(
                List.of("kept", "message 2", "message 4", "message 5", "newer"),
                fake.opened.stream().map(StreamFillsRequest::getAfterCursor).toList());
        assertEquals(4, fills.reconnects());
    }

    @Test
    void whatComesAfterTheGatewayClosedAStreamIsNotHeard() throws Exception {
        Fake fake = new Fake();
        int connections = 20;
        for (int number = 1; number <= connections; number++) {
            StreamFillsResponse closing =
                    StreamFillsResponse.newBuilder()
                            .setCursor("closed " + number)
                            .setClosing(StreamClosing.newBuilder().setReason(ErrorReason.ERROR_REASON_SHUTTING_DOWN))
                            .build();
            fake.streams.add(Stream.stays(opening(1), batch(number), closing, batch(100 + number)));
        }
        ResumingStream<Fill> fills = connected(serving(fake)).fills(From.after("kept", "a"));
        for (int number = 1; number <= connections; number++) {
            assertEquals("e" + number, fills.next().eventId());
        }
    }

    @Test
    void theCursorOfSeveralAccountsIsThatOfTheMessageBefore() throws Exception {
        Fake fake = new Fake();
        fake.streams.add(Stream.stays(opening(1), batch(1, 2), batch(3, 4)));
        List<String> cursors = new ArrayList<>();
        taken(connected(serving(fake)).fills(From.earliest()), 4, cursors);
        assertEquals(List.of("opened", "message 2", "message 2", "message 4"), cursors);
    }

    @Test
    void aStreamSaysThatItHasCaughtUp() throws Exception {
        Fake fake = new Fake();
        StreamFillsResponse live =
                StreamFillsResponse.newBuilder().setCursor("live").setCaughtUp(CaughtUp.newBuilder()).build();
        fake.streams.add(Stream.stays(opening(1), batch(1), live));
        ResumingStream<Fill> fills = connected(serving(fake)).fills(From.live());
        taken(fills, 1, new ArrayList<>());
        assertFalse(fills.caughtUp());
        assertTrue(fills.poll(Duration.ofSeconds(20)).isEmpty());
        assertTrue(fills.caughtUp());
        fills.close();
        assertEquals(Status.Code.CANCELLED, assertThrows(GatewayException.class, fills::next).code());
    }

    @Test
    void whatNoConnectionCanMendEndsAStream() throws Exception {
        Map<Code, String> ends =
                Map.of(
                        Code.OUT_OF_RANGE, "CURSOR_EXPIRED",
                        Code.UNAUTHENTICATED, "TOKEN_INVALID",
                        Code.INVALID_ARGUMENT, "CURSOR_INVALID",
                        Code.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS");
        for (Map.Entry<Code, String> end : ends.entrySet()) {
            Fake fake = new Fake();
            fake.streams.add(Stream.ends(refusal(end.getKey(), end.getValue())));
            ResumingStream<Fill> fills = connected(serving(fake)).fills(From.live());
            for (int again = 0; again < 2; again++) {
                assertEquals(end.getValue(), assertThrows(GatewayException.class, fills::next).reasonName());
            }
        }
    }

    @Test
    void aMutePeerIsLeft() throws Exception {
        Fake fake = new Fake();
        fake.streams.add(Stream.stays(opening(1)));
        fake.streams.add(Stream.stays(opening(1), batch(1)));
        ResumingStream<Fill> fills =
                connected(serving(fake)).fills(From.live().heartbeat(Duration.ofMillis(100)));
        assertEquals("e1", fills.next().eventId());
        assertTrue(fills.reconnects() >= 1);
    }

    @Test
    void aStreamEndsWithItsClient() throws Exception {
        Fake fake = new Fake();
        fake.streams.add(Stream.stays(opening(1)));
        Gateway gateway = connected(serving(fake));
        ResumingStream<Fill> fills = gateway.fills(From.live());
        CompletableFuture<GatewayException> ended = new CompletableFuture<>();
        new Thread(() -> ended.complete(assertThrows(GatewayException.class, fills::next))).start();
        gateway.close();
        assertEquals(Status.Code.CANCELLED, ended.get().code());
    }
}
