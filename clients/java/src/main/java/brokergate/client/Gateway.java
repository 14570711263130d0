package brokergate.client;

import brokergate.v1.AccountServiceGrpc;
import brokergate.v1.CancelOrderRequest;
import brokergate.v1.GetAccountRequest;
import brokergate.v1.GetOrderRequest;
import brokergate.v1.ListPositionsRequest;
import brokergate.v1.ListPositionsResponse;
import brokergate.v1.OrderRef;
import brokergate.v1.OrderServiceGrpc;
import brokergate.v1.OrderSpec;
import brokergate.v1.PlaceOrderRequest;
import brokergate.v1.PlaceOrderResponse;
import brokergate.v1.PositionServiceGrpc;
import brokergate.v1.ReplaceOrderRequest;
import com.google.protobuf.Message;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ChannelCredentials;
import io.grpc.ClientInterceptors;
import io.grpc.Context;
import io.grpc.Deadline;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;
import java.io.File;
import java.io.IOException;
import java.net.InetAddress;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The client: one connection, the whole of trading, for many threads. {@link #at} begins one.
 *
 * <p>Every RPC of the contract may be made by {@link #call} with the method of its generated stub; the methods beside it are
 * for what a strategy does all day. All repeat a call whose answer was lost, under the same id, until the deadline, and throw
 * {@link GatewayException} alone. {@code io.grpc.Context} cancels, and an interrupt does.
 */
public final class Gateway implements AutoCloseable {
    private final Connection connection;
    private final Duration deadline;

    private Gateway(Connection connection, Duration deadline) {
        this.connection = connection;
        this.deadline = deadline;
    }

    /** Begins a client of the gateway at an address, {@code host:port}; plaintext unless TLS is asked for. */
    public static Builder at(String address) {
        return new Builder(address);
    }

    /** PEM files for {@link Builder#tls}: the authority (null for the system's), and a certificate with its key (mTLS). */
    public static ChannelCredentials tlsFiles(File authority, File certificate, File key) throws IOException {
        if ((certificate == null) != (key == null)) {
            throw new IllegalArgumentException("certificate and key go together: give both for mTLS, or neither");
        }
        TlsChannelCredentials.Builder tls = TlsChannelCredentials.newBuilder();
        if (authority != null) {
            tls.trustManager(authority);
        }
        if (certificate != null) {
            tls.keyManager(certificate, key);
        }
        return tls.build();
    }

    /** How a client connects. It connects when it is first used. */
    public static final class Builder {
        private static final Pattern TOKEN = Pattern.compile("[!-~]+");
        private final String address;
        private Metadata headers;
        private ChannelCredentials tls;
        private String serverName;
        private boolean plaintextToken;
        private Duration deadline = Duration.ofSeconds(10);
        private String clientName = "brokergate-java";

        private Builder(String address) {
            this.address = address;
        }

        /** Shows this bearer token with every call: over TLS, or over plaintext to this machine. */
        public Builder token(String token) {
            if (!TOKEN.matcher(token).matches()) {
                // The value itself stays out of the message.
                throw refused("token", "is empty or holds blanks or control characters; give it as it was printed");
            }
            headers = new Metadata();
            headers.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + token);
            return this;
        }

        /** Lets the token go over plaintext to another machine, where everybody on the way can read it. */
        public Builder plaintextToken() {
            plaintextToken = true;
            return this;
        }

        /** Encrypts, and checks the gateway's certificate as the credentials say; {@link Gateway#tlsFiles} makes some. */
        public Builder tls(ChannelCredentials credentials) {
            tls = credentials;
            return this;
        }

        /** The name to expect in the gateway's certificate where it is not the address's. */
        public Builder serverName(String name) {
            serverName = name;
            return this;
        }

        /** How long a unary call may take, its repeats included; 10 s where nothing is said. */
        public Builder deadline(Duration given) {
            if (given.isNegative() || given.isZero()) {
                throw refused("deadline", given + " is not above zero");
            }
            deadline = given;
            return this;
        }

        /** Begins the user agent, which the gateway's audit keeps. */
        public Builder clientName(String name) {
            clientName = name;
            return this;
        }

        /** Makes the client. Throws {@link GatewayException} where a token would go where everybody can read it. */
        public Gateway connect() {
            if (headers != null && tls == null && !plaintextToken && !isLoopback(address)) {
                throw refused(
                        "token",
                        "does not go to " + address + " over plaintext, where everybody on the way can read it: use tls, "
                                + "or plaintextToken if the way is safe");
            }
            ManagedChannelBuilder<?> builder =
                    Grpc.newChannelBuilder(address, tls == null ? InsecureChannelCredentials.create() : tls)
                            .userAgent(clientName)
                            .keepAliveTime(20, TimeUnit.SECONDS)
                            .keepAliveTimeout(10, TimeUnit.SECONDS)
                            // Repeats are decided in one place, where the ids are known.
                            .disableRetry()
                            .disableServiceConfigLookUp()
                            // A page of 1000 orders is well below it.
                            .maxInboundMessageSize(16 << 20);
            if (isLoopback(address)) {
                // A proxy that the system names would be another machine, and get the token.
                builder.proxyDetector(target -> null);
            }
            if (serverName != null) {
                builder.overrideAuthority(serverName);
            }
            return new Gateway(new Connection(address, builder.build(), headers), deadline);
        }

        @Override
        public String toString() {
            return "Gateway.Builder(" + address + ")";
        }

        private static GatewayException refused(String field, String description) {
            return Decimals.refused(List.of(new FieldViolation(field, description)));
        }
    }

    static boolean isLoopback(String address) {
        if (address.startsWith("unix:") || address.startsWith("unix-abstract:")) {
            return true;
        }
        String authority = address.replaceFirst("^(dns|ipv4|ipv6|passthrough):/*", "");
        // Of `dns://127.0.0.1/elsewhere` the first part is who is asked for the name.
        Matcher parts = Pattern.compile("(\\[[0-9a-fA-F:.]+\\]|[^\\[\\]:/@]+)(:[0-9]+)?").matcher(authority);
        if (!parts.matches()) {
            return false;
        }
        String host = parts.group(1);
        // A name would be asked of the resolver, whose word this is not to rest on.
        boolean literal = host.startsWith("[") || host.matches("[0-9.]+");
        try {
            return host.equalsIgnoreCase("localhost") || literal && InetAddress.getByName(host).isLoopbackAddress();
        } catch (IOException malformed) {
            return false;
        }
    }

    /** The same client, whose unary calls may take this long. */
    public Gateway within(Duration other) {
        return new Gateway(connection, other);
    }

    /**
     * Any unary call of the contract, by the method of its generated stub: {@code call(getListOrdersMethod(), request)}. An
     * id is made wherever one is needed and none was given; a malformed decimal is refused before it is sent.
     */
    public <Q extends Message, A> A call(MethodDescriptor<Q, A> method, Q request) {
        Q identified = Requests.identified(request);
        try {
            Decimals.check(identified);
        } catch (GatewayException refused) {
            throw refused.about(Requests.idOf(identified), false);
        }
        return callAsGiven(method, identified);
    }

    /** The same, as it is: no id made and no decimal checked, so that the gateway is the one to judge it. */
    public <Q extends Message, A> A callAsGiven(MethodDescriptor<Q, A> method, Q request) {
        String id = Requests.idOf(request);
        long end = System.nanoTime() + deadline.toNanos();
        Deadline given = Context.current().getDeadline();
        if (given != null) {
            end = Math.min(end, System.nanoTime() + given.timeRemaining(TimeUnit.NANOSECONDS));
        }
        Pauses pauses = new Pauses();
        boolean lost = false;
        GatewayException before = null;
        while (true) {
            GatewayException error;
            try {
                long remaining = Math.max(end - System.nanoTime(), 0);
                CallOptions options = CallOptions.DEFAULT.withDeadlineAfter(remaining, TimeUnit.NANOSECONDS);
                return ClientCalls.blockingUnaryCall(connection.channel, method, options, request);
            } catch (StatusRuntimeException failed) {
                error = GatewayException.of(failed);
            }
            lost = lost || error.answerWasLost();
            if (before != null && error.isLate()) {
                throw before.askedAgain().about(id, lost && !id.isEmpty());
            }
            // Any other error is the gateway's final word on the id, after it has looked the id up.
            error.about(id, lost && !id.isEmpty() && error.leavesOpen());
            if (!error.invitesRepeat()) {
                throw error;
            }
            connection.expectWanted(error);
            long pause = pauses.next(error.retryDelay());
            if (System.nanoTime() + pause - end >= 0) {
                throw error;
            }
            connection.pause(pause);
            connection.expectWanted(error);
            before = error;
        }
    }

    /** Places an order under an id that is made for it. */
    public Placed place(Target target, OrderSpec.Builder order) {
        return place(target, order, "");
    }

    /** Places an order under an id of one's own, and gives it as it then stands. */
    public Placed place(Target target, OrderSpec.Builder order, String clientOrderId) {
        return place(aimed(PlaceOrderRequest.newBuilder(), target).setOrder(order).setClientOrderId(clientOrderId).build());
    }

    /** Places an order, or a bracket or OCO group as a whole. */
    public Placed place(PlaceOrderRequest request) {
        PlaceOrderResponse answer = call(OrderServiceGrpc.getPlaceOrderMethod(), request);
        List<Order> linked = answer.getLinkedOrdersList().stream().map(Order::of).toList();
        return new Placed(Order.of(answer.getOrder()), answer.getAlreadyExisted(), linked);
    }

    private static PlaceOrderRequest.Builder aimed(PlaceOrderRequest.Builder request, Target target) {
        return target.routeId().isEmpty()
                ? request.setAccountId(target.accountId())
                : request.setRouteId(target.routeId());
    }

    /** Changes a working order that is of this generation still. */
    public Order replace(Target target, OrderRef order, int expectedGeneration, Change change) {
        ReplaceOrderRequest.Builder request =
                change.request().setOrder(order).setExpectedGeneration(expectedGeneration);
        if (target.routeId().isEmpty()) {
            request.setAccountId(target.accountId());
        } else {
            request.setRouteId(target.routeId());
        }
        return Order.of(call(OrderServiceGrpc.getReplaceOrderMethod(), request.build()).getOrder());
    }

    /** Cancels a working order; it may have filled first. */
    public Order cancel(Target target, OrderRef order) {
        return cancel(target, order, "");
    }

    /** The same, under an id of one's own. */
    public Order cancel(Target target, OrderRef order, String requestId) {
        CancelOrderRequest.Builder request = CancelOrderRequest.newBuilder().setOrder(order).setRequestId(requestId);
        if (target.routeId().isEmpty()) {
            request.setAccountId(target.accountId());
        } else {
            request.setRouteId(target.routeId());
        }
        return Order.of(call(OrderServiceGrpc.getCancelOrderMethod(), request.build()).getOrder());
    }

    /** An order as it now stands. */
    public Order order(Target target, OrderRef order) {
        GetOrderRequest.Builder request = GetOrderRequest.newBuilder().setOrder(order);
        if (target.routeId().isEmpty()) {
            request.setAccountId(target.accountId());
        } else {
            request.setRouteId(target.routeId());
        }
        return Order.of(call(OrderServiceGrpc.getGetOrderMethod(), request.build()).getOrder());
    }

    /**
     * The account's positions that are not flat; {@link Decimals#of} reads their numbers. Where the answer is stale the
     * broker is away, and they are what was known last: not to be traded by.
     */
    public ListPositionsResponse positions(String accountId) {
        ListPositionsRequest request = ListPositionsRequest.newBuilder().setAccountId(accountId).build();
        return call(PositionServiceGrpc.getListPositionsMethod(), request);
    }

    /** Where the account's journal stands now: take it before placing, and stream fills after it. */
    public String cursor(String accountId) {
        GetAccountRequest request = GetAccountRequest.newBuilder().setAccountId(accountId).build();
        return call(AccountServiceGrpc.getGetAccountMethod(), request).getCursor();
    }

    /**
     * Executions as they are booked, for ever, each once. It connects at once, and waits for nothing. A broker may correct
     * an execution or take it back: its kind says so. Fees that come later are in {@link #events}.
     */
    public ResumingStream<Fill> fills(From from) {
        return connection.opened(new Streams.Fills(connection, from));
    }

    /** All that is journalled, likewise; an item that has caught up parts what was before from what is live. */
    public ResumingStream<EventItem> events(From from) {
        return connection.opened(new Streams.Events(connection, from));
    }

    /** The channel, with the token, for generated stubs (streams of market data); {@link GatewayException#of} reads what they throw. */
    public Channel channel() {
        return connection.channel;
    }

    /** Ends the connection, and with it the calls and streams that are under way. */
    @Override
    public void close() {
        connection.close();
    }

    @Override
    public String toString() {
        return "Gateway(" + connection.address + ")";
    }

    /** What the views of a client share. */
    static final class Connection {
        final String address;
        final Channel channel;
        private final ManagedChannel managed;
        private final Set<CountDownLatch> pausing = ConcurrentHashMap.newKeySet();
        private final Set<ResumingStream<?>> streams = ConcurrentHashMap.newKeySet();
        private volatile boolean closed;

        Connection(String address, ManagedChannel managed, Metadata headers) {
            this.address = address;
            this.managed = managed;
            this.channel =
                    headers == null
                            ? managed
                            : ClientInterceptors.intercept(managed, MetadataUtils.newAttachHeadersInterceptor(headers));
        }

        /** gRPC's own pauses between connections grow to two minutes, which is long for one who holds positions. */
        void connectSoon() {
            managed.resetConnectBackoff();
        }

        /** Waits; less where the caller cancels, is interrupted, or the client is closed. */
        void pause(long nanos) {
            connectSoon();
            CountDownLatch woken = new CountDownLatch(1);
            Context.CancellationListener listener = context -> woken.countDown();
            Context context = Context.current();
            context.addListener(listener, Runnable::run);
            pausing.add(woken);
            try {
                if (!closed) {
                    woken.await(nanos, TimeUnit.NANOSECONDS);
                }
            } catch (InterruptedException interrupted) {
                Thread.currentThread().interrupt();
            } finally {
                pausing.remove(woken);
                context.removeListener(listener);
            }
        }

        <S extends ResumingStream<?>> S opened(S stream) {
            streams.add(stream);
            if (closed) {
                stream.close();
            } else {
                stream.connect();
            }
            return stream;
        }

        void forget(ResumingStream<?> stream) {
            streams.remove(stream);
        }

        /** Throws where the client is closed, or the caller has cancelled or is interrupted: no repeat is wanted then. */
        void expectWanted(GatewayException last) {
            if (closed || Thread.currentThread().isInterrupted() || Context.current().isCancelled()) {
                String why = closed ? "this client was closed" : "the caller cancelled";
                throw new GatewayException(Status.Code.CANCELLED, why).about(last.requestId(), last.outcomeUnknown());
            }
        }

        void close() {
            closed = true;
            streams.forEach(ResumingStream::close);
            pausing.forEach(CountDownLatch::countDown);
            managed.shutdownNow();
            try {
                managed.awaitTermination(5, TimeUnit.SECONDS);
            } catch (InterruptedException interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
