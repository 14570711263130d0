package brokergate.conformance;

import brokergate.client.Change;
import brokergate.client.Decimals;
import brokergate.client.EventItem;
import brokergate.client.Fill;
import brokergate.client.From;
import brokergate.client.Gateway;
import brokergate.client.GatewayException;
import brokergate.client.Ids;
import brokergate.client.Money;
import brokergate.client.Order;
import brokergate.client.Orders;
import brokergate.client.Placed;
import brokergate.client.ResumingStream;
import brokergate.client.Target;
import brokergate.v1.AccountServiceGrpc;
import brokergate.v1.BrokerServiceGrpc;
import brokergate.v1.Event;
import brokergate.v1.EventKind;
import brokergate.v1.InstrumentServiceGrpc;
import brokergate.v1.MarketDataServiceGrpc;
import brokergate.v1.OrderRef;
import brokergate.v1.OrderServiceGrpc;
import brokergate.v1.OrderSpec;
import brokergate.v1.OrderType;
import brokergate.v1.PositionServiceGrpc;
import brokergate.v1.Side;
import brokergate.v1.SimulatorServiceGrpc;
import brokergate.v1.TimeInForce;
import brokergate.v1.TradingControlServiceGrpc;
import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.protobuf.Descriptors.EnumValueDescriptor;
import com.google.protobuf.Message;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.Context;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.ServiceDescriptor;
import io.grpc.Status;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/** The conformance runner of the Java client: one JSON step a line in, one answer a line out (clients/CONFORMANCE.md). */
public final class Runner {
    private static final Gson JSON = new GsonBuilder().serializeNulls().disableHtmlEscaping().create();
    private static final String PACKAGE = "brokergate.v1.";
    private static final Map<String, MethodDescriptor<?, ?>> METHODS = new HashMap<>();

    static {
        List<ServiceDescriptor> services =
                List.of(
                        AccountServiceGrpc.getServiceDescriptor(),
                        BrokerServiceGrpc.getServiceDescriptor(),
                        InstrumentServiceGrpc.getServiceDescriptor(),
                        MarketDataServiceGrpc.getServiceDescriptor(),
                        OrderServiceGrpc.getServiceDescriptor(),
                        PositionServiceGrpc.getServiceDescriptor(),
                        SimulatorServiceGrpc.getServiceDescriptor(),
                        TradingControlServiceGrpc.getServiceDescriptor());
        for (ServiceDescriptor service : services) {
            for (MethodDescriptor<?, ?> method : service.getMethods()) {
                METHODS.put(method.getFullMethodName(), method);
            }
        }
    }

    private final ScheduledExecutorService timer =
            Executors.newSingleThreadScheduledExecutor(
                    task -> {
                        Thread thread = new Thread(task, "timer");
                        thread.setDaemon(true);
                        return thread;
                    });
    private final Map<String, Opened> streams = new HashMap<>();
    private Gateway.Builder options;
    private Gateway gateway;

    /** Serves stdin to its end. */
    public static void main(String[] arguments) throws IOException {
        PrintStream answers = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        Runner runner = new Runner();
        try (BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                answers.println(JSON.toJson(runner.answer(line)));
            }
        }
        System.exit(0);
    }

    private JsonObject answer(String line) {
        JsonObject answer = new JsonObject();
        Step step = new Step(JsonParser.parseString(line).getAsJsonObject());
        try {
            answer.add("ok", act(step));
        } catch (GatewayException error) {
            boolean gaveUp = step.has("cancel_after_ms") && error.code() == Status.Code.CANCELLED;
            answer.add("error", gaveUp ? object("code", "CANCELLED") : told(error));
        } catch (InterruptedException | IOException | RuntimeException bug) {
            bug.printStackTrace();
            answer.addProperty("failed", bug.toString());
        }
        return answer;
    }

    private JsonObject act(Step step) throws InterruptedException, IOException {
        return switch (step.text("do")) {
            case "connect" -> connect(step);
            case "disconnect" -> disconnect();
            case "show" -> object("text", gateway + "\n" + options + "\n" + gateway.channel());
            case "new_id" -> {
                JsonArray ids = new JsonArray();
                for (int made = 0; made < step.number("count", 1); made++) {
                    ids.add(Ids.next());
                }
                yield object("ids", ids);
            }
            case "decimal" -> object("text", Decimals.text(Decimals.parse("text", step.text("text"))));
            case "call" -> call(step);
            case "stream_call" -> streamCall(step);
            case "place" -> place(step);
            case "replace" -> replace(step);
            case "cancel" -> {
                Order order = timed(step).cancel(target(step), named(step), step.text("request_id"));
                yield object("order", told(order));
            }
            case "open" -> open(step);
            case "take" -> take(step);
            case "stream" -> {
                Opened stream = streams.get(step.text("name"));
                JsonObject standing = object("cursor", stream.items.cursor());
                standing.addProperty("reconnects", stream.items.reconnects());
                yield standing;
            }
            case "close" -> {
                streams.remove(step.text("name")).items.close();
                yield new JsonObject();
            }
            default -> throw new IllegalArgumentException("this runner does not know the step " + step.text("do"));
        };
    }

    /** A step's members; one that is null was not given. */
    private record Step(JsonObject given) {
        boolean has(String name) {
            return given.has(name) && !given.get(name).isJsonNull();
        }

        String text(String name) {
            return has(name) ? given.get(name).getAsString() : "";
        }

        long number(String name, long otherwise) {
            return has(name) ? given.get(name).getAsLong() : otherwise;
        }

        boolean flag(String name) {
            return has(name) && given.get(name).getAsBoolean();
        }

        String[] texts(String name) {
            if (!has(name)) {
                return new String[0];
            }
            return given.getAsJsonArray(name).asList().stream().map(JsonElement::getAsString).toArray(String[]::new);
        }
    }

    private static JsonObject object(String name, JsonElement value) {
        JsonObject object = new JsonObject();
        object.add(name, value);
        return object;
    }

    private static JsonObject object(String name, String value) {
        JsonObject object = new JsonObject();
        object.addProperty(name, value);
        return object;
    }

    private static JsonObject told(GatewayException error) {
        JsonArray violations = new JsonArray();
        error.violations().forEach(
                each -> {
                    JsonObject violation = object("field", each.field());
                    violation.addProperty("description", each.description());
                    violations.add(violation);
                });
        JsonObject told = object("code", error.code().name());
        told.addProperty("reason", error.reasonName());
        told.addProperty("message", error.getMessage());
        told.add("violations", violations);
        told.add("metadata", JSON.toJsonTree(error.metadata()));
        told.add("retry_delay_ms", JSON.toJsonTree(error.retryDelay().map(Duration::toMillis).orElse(null)));
        told.addProperty("outcome_unknown", error.outcomeUnknown());
        told.addProperty("id", error.requestId());
        return told;
    }

    private JsonObject connect(Step step) throws IOException {
        disconnect();
        options = Gateway.at(step.text("address"));
        if (step.has("token")) {
            options.token(step.text("token"));
        }
        if (step.has("timeout_ms")) {
            options.deadline(Duration.ofMillis(step.number("timeout_ms", 0)));
        }
        if (step.has("ca_file")) {
            File certificate = step.has("cert_file") ? new File(step.text("cert_file")) : null;
            File key = step.has("key_file") ? new File(step.text("key_file")) : null;
            options.tls(Gateway.tlsFiles(new File(step.text("ca_file")), certificate, key));
        }
        if (step.has("server_name")) {
            options.serverName(step.text("server_name"));
        }
        gateway = options.connect();
        return new JsonObject();
    }

    private JsonObject disconnect() {
        streams.values().forEach(stream -> stream.items.close());
        streams.clear();
        if (gateway != null) {
            gateway.close();
            gateway = null;
        }
        return new JsonObject();
    }

    private Gateway timed(Step step) {
        return step.has("timeout_ms") ? gateway.within(Duration.ofMillis(step.number("timeout_ms", 0))) : gateway;
    }

    private static MethodDescriptor<?, ?> method(String rpc) {
        MethodDescriptor<?, ?> method = METHODS.get(rpc.startsWith(PACKAGE) ? rpc : PACKAGE + rpc);
        if (method == null) {
            throw new IllegalArgumentException("no RPC " + rpc);
        }
        return method;
    }

    private static <Q> Q parsed(MethodDescriptor<Q, ?> method, String text) {
        return method.parseRequest(new ByteArrayInputStream(Base64.getDecoder().decode(text)));
    }

    private static String serialised(Object message) {
        return Base64.getEncoder().encodeToString(((Message) message).toByteArray());
    }

    private JsonObject call(Step step) {
        Context.CancellableContext context = Context.current().withCancellation();
        if (step.has("cancel_after_ms")) {
            timer.schedule(() -> context.cancel(null), step.number("cancel_after_ms", 0), TimeUnit.MILLISECONDS);
        }
        Context before = context.attach();
        try {
            return object("response", serialised(called(step, method(step.text("rpc")))));
        } finally {
            context.detach(before);
            context.cancel(null);
        }
    }

    @SuppressWarnings("unchecked")
    private Object called(Step step, MethodDescriptor<?, ?> method) {
        MethodDescriptor<Message, ?> typed = (MethodDescriptor<Message, ?>) method;
        return timed(step).callAsGiven(typed, parsed(typed, step.text("request")));
    }

    @SuppressWarnings("unchecked")
    private JsonObject streamCall(Step step) throws InterruptedException {
        MethodDescriptor<Message, Object> method = (MethodDescriptor<Message, Object>) method(step.text("rpc"));
        CallOptions options = CallOptions.DEFAULT.withDeadlineAfter(step.number("timeout_ms", 10_000), TimeUnit.MILLISECONDS);
        ClientCall<Message, Object> call = gateway.channel().newCall(method, options);
        LinkedBlockingQueue<Object> said = new LinkedBlockingQueue<>();
        call.start(
                new ClientCall.Listener<Object>() {
                    @Override
                    public void onMessage(Object message) {
                        said.add(message);
                    }

                    @Override
                    public void onClose(Status status, Metadata trailers) {
                        said.add(status.isOk() ? Status.OK : GatewayException.of(status.asRuntimeException(trailers)));
                    }
                },
                new Metadata());
        call.request(1);
        for (String request : step.texts("requests")) {
            call.sendMessage(parsed(method, request));
        }
        call.halfClose();
        JsonArray responses = new JsonArray();
        long take = step.number("take", 0);
        while (take == 0 || responses.size() < take) {
            Object next = said.take();
            if (next instanceof GatewayException error) {
                throw error;
            }
            if (next == Status.OK) {
                break;
            }
            responses.add(serialised(next));
            call.request(1);
        }
        call.cancel("taken", null);
        return object("responses", responses);
    }

    private static Target target(Step step) {
        return Target.account(step.text("account_id"));
    }

    private static OrderRef named(Step step) {
        return step.has("order_id") ? Orders.byId(step.text("order_id")) : Orders.byClientId(step.text("client_order_id"));
    }

    private JsonObject place(Step step) {
        OrderSpec.Builder order =
                OrderSpec.newBuilder()
                        .setSymbol(step.text("symbol"))
                        .setSide(Side.valueOf("SIDE_" + step.text("side")))
                        .setType(OrderType.valueOf("ORDER_TYPE_" + step.text("type")))
                        .setPostOnly(step.flag("post_only"));
        if (step.has("time_in_force")) {
            order.setTimeInForce(TimeInForce.valueOf("TIME_IN_FORCE_" + step.text("time_in_force")));
        }
        if (step.has("quantity")) {
            order.setQuantity(Decimals.text(Decimals.parse("order.quantity", step.text("quantity"))));
        }
        if (step.has("limit_price")) {
            order.setLimitPrice(Decimals.text(Decimals.parse("order.limit_price", step.text("limit_price"))));
        }
        if (step.has("stop_price")) {
            order.setStopPrice(Decimals.text(Decimals.parse("order.stop_price", step.text("stop_price"))));
        }
        Placed placed = timed(step).place(target(step), order, step.text("client_order_id"));
        JsonObject told = object("order", told(placed.order()));
        told.addProperty("already_existed", placed.alreadyExisted());
        return told;
    }

    private JsonObject replace(Step step) {
        Change change = new Change().requestId(step.text("request_id"));
        if (step.has("quantity")) {
            change.quantity(Decimals.parse("quantity", step.text("quantity")));
        }
        if (step.has("limit_price")) {
            change.limitPrice(Decimals.parse("limit_price", step.text("limit_price")));
        }
        int generation = (int) step.number("expected_generation", 0);
        return object("order", told(timed(step).replace(target(step), named(step), generation, change)));
    }

    /** The name of a field's value without its prefix; its number where this client has no name for it. */
    private static String name(Message message, String field, String prefix) {
        EnumValueDescriptor value =
                (EnumValueDescriptor) message.getField(message.getDescriptorForType().findFieldByName(field));
        return value.getIndex() < 0 ? Integer.toString(value.getNumber()) : value.getName().substring(prefix.length());
    }

    private static JsonObject told(Order order) {
        brokergate.v1.Order message = order.message();
        OrderSpec spec = message.getSpec();
        JsonObject told = object("order_id", order.orderId());
        told.addProperty("client_order_id", order.clientOrderId());
        told.addProperty("account_id", message.getAccountId());
        told.addProperty("symbol", spec.getSymbol());
        told.addProperty("side", name(spec, "side", "SIDE_"));
        told.addProperty("type", name(spec, "type", "ORDER_TYPE_"));
        told.addProperty("state", name(message, "state", "ORDER_STATE_"));
        told.addProperty("generation", Integer.toUnsignedLong(message.getGeneration()));
        told.addProperty("quantity", Decimals.text(order.quantity()));
        told.addProperty("cum_quantity", Decimals.text(order.cumQuantity()));
        told.addProperty("leaves_quantity", Decimals.text(order.leavesQuantity()));
        told.addProperty(
                "limit_price", spec.hasLimitPrice() ? Decimals.text(Decimals.of(spec.getLimitPrice())) : null);
        told.addProperty("average_price", order.averagePrice().map(Decimals::text).orElse(null));
        told.addProperty("reject_reason", name(message, "reject_reason", "ERROR_REASON_"));
        return told;
    }

    /** A stream, and what `in_order` is told by. */
    private static final class Opened {
        final ResumingStream<?> items;
        final Map<String, Long> highest = new HashMap<>();
        boolean rising = true;

        Opened(ResumingStream<?> items) {
            this.items = items;
        }

        void saw(String account, long sequence) {
            Long before = highest.put(account, sequence);
            rising = rising && (before == null || Long.compareUnsigned(sequence, before) > 0);
        }
    }

    private JsonObject open(Step step) {
        String[] accounts = step.texts("account_ids");
        From from = start(step, accounts).symbols(step.texts("symbols"));
        if (step.has("heartbeat_ms")) {
            from = from.heartbeat(Duration.ofMillis(step.number("heartbeat_ms", 0)));
        }
        if (step.has("kinds")) {
            String[] kinds = step.texts("kinds");
            EventKind[] wanted = new EventKind[kinds.length];
            for (int index = 0; index < kinds.length; index++) {
                wanted[index] = EventKind.valueOf("EVENT_KIND_" + kinds[index]);
            }
            from = from.kinds(wanted);
        }
        boolean fills = step.text("stream").equals("fills");
        streams.put(step.text("name"), new Opened(fills ? gateway.fills(from) : gateway.events(from)));
        return new JsonObject();
    }

    private static From start(Step step, String[] accounts) {
        if (step.has("after")) {
            return From.after(step.text("after"), accounts);
        }
        return switch (step.text("start")) {
            case "EARLIEST" -> From.earliest(accounts);
            case "", "LIVE" -> From.live(accounts);
            case "SNAPSHOT" -> From.snapshot(accounts);
            default -> {
                try {
                    yield From.time(Instant.parse(step.text("start")), accounts);
                } catch (DateTimeParseException malformed) {
                    throw new IllegalArgumentException(malformed);
                }
            }
        };
    }

    private JsonObject take(Step step) throws InterruptedException {
        Opened stream = streams.get(step.text("name"));
        long end = System.nanoTime() + Duration.ofMillis(step.number("timeout_ms", 20_000)).toNanos();
        boolean untilCaughtUp = step.text("until").equals("caught_up");
        boolean summary = step.flag("summary");
        long wanted = step.number("count", Long.MAX_VALUE);
        JsonArray items = new JsonArray();
        JsonObject seen = new JsonObject();
        Object last = null;
        long count = 0;
        while (count < wanted) {
            if (untilCaughtUp && stream.items.caughtUp()) {
                seen.addProperty("caught_up", true);
                break;
            }
            Duration left = Duration.ofNanos(Math.max(end - System.nanoTime(), 0));
            Optional<?> item = stream.items.poll(left);
            if (item.isEmpty()) {
                // A stream that has just caught up says so by giving nothing before the time is over.
                if (System.nanoTime() - end >= 0) {
                    seen.addProperty("timed_out", true);
                    break;
                }
                continue;
            }
            if (item.get() instanceof Fill fill) {
                stream.saw(fill.message().getAccountId(), fill.sequence());
            } else if (item.get() instanceof EventItem found && found.event() != null) {
                stream.saw(found.event().getAccountId(), found.event().getSequence());
            } else {
                continue;
            }
            last = item.get();
            count++;
            if (!summary) {
                items.add(told(last));
            }
        }
        if (summary) {
            seen.addProperty("count", count);
            seen.addProperty("in_order", stream.rising);
            seen.add("last", last == null ? JsonNull.INSTANCE : told(last));
        } else {
            seen.add("items", items);
        }
        return seen;
    }

    private static JsonObject told(Object item) {
        return item instanceof Fill fill ? told(fill) : told((EventItem) item);
    }

    private static JsonObject told(Fill fill) {
        JsonArray fees = new JsonArray();
        for (Money fee : fill.fees()) {
            JsonObject each = object("amount", Decimals.text(fee.amount()));
            each.addProperty("currency_code", fee.currencyCode());
            fees.add(each);
        }
        JsonObject told = object("event_id", fill.eventId());
        told.addProperty("account_id", fill.message().getAccountId());
        told.addProperty("sequence", Long.toUnsignedString(fill.sequence()));
        told.addProperty("cursor", fill.cursor());
        told.addProperty("fill_id", fill.message().getFillId());
        told.addProperty("client_order_id", fill.message().getClientOrderId());
        told.addProperty("symbol", fill.message().getSymbol());
        told.addProperty("side", name(fill.message(), "side", "SIDE_"));
        told.addProperty("quantity", Decimals.text(fill.quantity()));
        told.addProperty("price", Decimals.text(fill.price()));
        told.addProperty("kind", name(fill.message(), "kind", "FILL_KIND_"));
        told.addProperty("liquidity", name(fill.message(), "liquidity", "LIQUIDITY_"));
        told.add("fees", fees);
        return told;
    }

    private static JsonObject told(EventItem found) {
        Event event = found.event();
        Event.PayloadCase payload = event.getPayloadCase();
        JsonObject told = object("event_id", event.getEventId());
        told.addProperty("account_id", event.getAccountId());
        told.addProperty("sequence", Long.toUnsignedString(event.getSequence()));
        told.addProperty("cursor", found.cursor());
        told.addProperty("kind", payload == Event.PayloadCase.PAYLOAD_NOT_SET ? "UNKNOWN" : payload.name());
        return told;
    }
}
