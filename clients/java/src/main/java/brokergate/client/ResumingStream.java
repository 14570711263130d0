package brokergate.client;

import brokergate.v1.ErrorReason;
import brokergate.v1.Event;
import brokergate.v1.Snapshot;
import brokergate.v1.StreamClosing;
import brokergate.v1.StreamOpened;
import com.google.protobuf.Message;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.Context;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

/**
 * A stream that survives: it resumes by its cursor, for ever, and gives every item once. A connection that breaks, falls
 * silent for three heartbeats or is closed by a gateway that restarts is made anew. It holds two messages at most; what has
 * not been read waits in the gateway's journal.
 *
 * <p>One thread at a time reads; every thread may ask how it stands, and close it.
 */
public abstract class ResumingStream<T> implements AutoCloseable {
    private static final int MISSED_HEARTBEATS = 3;
    // The first message is sent at once; a gateway that takes longer is asked again.
    private static final long OPEN_TIMEOUT_NANOS = Duration.ofSeconds(10).toNanos();
    private static final long FOREVER_NANOS = Long.MAX_VALUE / 4;
    private static final int AHEAD = 2;

    /** What the messages of the two streams have in common; what is not there is null, or empty. */
    record Said(
            String cursor,
            StreamOpened opened,
            List<Event> events,
            boolean caughtUp,
            StreamClosing closing,
            Snapshot snapshot) {}

    /** What a connection brings: something said, or its end (null when it ended in order). */
    private record Signal(long connection, Said said, Throwable end) {}

    private final Gateway.Connection connection;
    private final From from;
    private final BlockingQueue<Signal> signals = new LinkedBlockingQueue<>();
    private final Pauses pauses = new Pauses();
    private final Map<String, Long> seen = new HashMap<>();
    private volatile ClientCall<?, ?> call;
    private long connections;
    private long silentAt;
    private long resumeAt;
    private boolean everOpened;
    private long epoch;
    private List<Event> batch = List.of();
    private int taken;
    private String after = "";
    private GatewayException failed;
    // Until the snapshot is whole no cursor is worth anything: resuming after one would leave the state out.
    boolean awaitsSnapshot;
    private volatile String cursor;
    private volatile boolean caughtUp;
    private volatile int reconnects;
    private volatile boolean closed;

    ResumingStream(Gateway.Connection connection, From from) {
        this.connection = connection;
        this.from = from;
        this.cursor = from.cursor();
        this.resumeAt = System.nanoTime();
    }

    /** Starts a call that resumes after the cursor, or starts where the stream does when that is empty. */
    abstract ClientCall<?, ?> open(String cursor);

    /** The item of an event, or null where the stream does not give it. */
    abstract T itemOf(Event event);

    /** The item of what is no batch, or null. */
    abstract T itemOf(Said said);

    /**
     * Waits for the next item. Throws {@link GatewayException} for what no new connection can mend (CURSOR_EXPIRED,
     * CURSOR_EPOCH, a token or a field that is refused), and once the stream is closed.
     */
    public T next() throws InterruptedException {
        T item = null;
        while (item == null) {
            item = advance(System.nanoTime() + FOREVER_NANOS);
        }
        return item;
    }

    /**
     * The next item; empty where none came in time, and at once where the stream has just caught up. Throws as {@link
     * #next}.
     */
    public Optional<T> poll(Duration timeout) throws InterruptedException {
        return Optional.ofNullable(advance(System.nanoTime() + timeout.toNanos()));
    }

    /** Resumes after all that was given so far; it moves on too while nothing passes the filter. */
    public String cursor() {
        return cursor;
    }

    /** Whether the history has been given and the stream is live; a lost connection ends it, until what was missed is given. */
    public boolean caughtUp() {
        return caughtUp;
    }

    /** The connections after the first. */
    public int reconnects() {
        return reconnects;
    }

    /** Ends it; who waits for an item then gets a {@link GatewayException}. */
    @Override
    public void close() {
        closed = true;
        ClientCall<?, ?> open = call;
        if (open != null) {
            open.cancel("the stream was closed", null);
        }
        // Wakes who waits.
        signals.add(new Signal(0, null, null));
        connection.forget(this);
    }

    private T advance(long end) throws InterruptedException {
        while (true) {
            T ready = nextOfBatch();
            if (ready != null) {
                return ready;
            }
            if (closed) {
                hangUp();
                failed = new GatewayException(Status.Code.CANCELLED, "the stream was closed");
            }
            if (failed != null) {
                throw failed;
            }
            long now = System.nanoTime();
            if (call == null && now - resumeAt >= 0) {
                connect();
            }
            long wait = Math.min((call == null ? resumeAt : silentAt) - now, end - now);
            Signal signal = signals.poll(Math.max(wait, 0), TimeUnit.NANOSECONDS);
            now = System.nanoTime();
            if (signal == null) {
                if (call != null && now - silentAt >= 0) {
                    lost(unavailable("nothing came from the gateway, not even a heartbeat"));
                } else if (now - end >= 0) {
                    return null;
                }
            } else if (signal.connection != connections || call == null) {
                // Of a connection that was left: what comes after a StreamClosing, or after its silence was noticed.
                continue;
            } else if (signal.said == null) {
                lost(signal.end == null ? unavailable("the gateway ended the stream") : GatewayException.of(signal.end));
            } else {
                call.request(1);
                silentAt = now + MISSED_HEARTBEATS * from.heartbeat().toNanos();
                boolean news = hear(signal.said);
                T item = itemOf(signal.said);
                if (item != null || news) {
                    return item;
                }
            }
        }
    }

    final void connect() {
        if (connections++ > 0) {
            reconnects++;
        }
        silentAt = System.nanoTime() + OPEN_TIMEOUT_NANOS;
        try {
            // The stream outlives what its reader does at the moment.
            call = Context.ROOT.call(() -> open(cursor));
        } catch (Exception failure) {
            throw GatewayException.of(failure);
        }
        if (closed) {
            call.cancel("the stream was closed", null);
        }
    }

    /** Starts a call whose messages and end come as signals. */
    final <Q extends Message, R> ClientCall<Q, R> start(MethodDescriptor<Q, R> method, Q request, Function<R, Said> read) {
        long number = connections;
        ClientCall<Q, R> started =
                connection.channel.newCall(method, CallOptions.DEFAULT.withExecutor(Runnable::run));
        started.start(
                new ClientCall.Listener<R>() {
                    @Override
                    public void onMessage(R message) {
                        signals.add(new Signal(number, read.apply(message), null));
                    }

                    @Override
                    public void onClose(Status status, Metadata trailers) {
                        signals.add(new Signal(number, null, status.isOk() ? null : status.asRuntimeException(trailers)));
                    }
                },
                new Metadata());
        started.request(AHEAD);
        started.sendMessage(request);
        started.halfClose();
        return started;
    }

    /** Takes note of a message; returns whether the stream has just caught up. */
    private boolean hear(Said said) {
        if (said.opened != null) {
            if (!everOpened || said.opened.getEpoch() != epoch) {
                // Sequences of another epoch say nothing about these.
                seen.clear();
            }
            everOpened = true;
            epoch = said.opened.getEpoch();
        } else {
            pauses.reset();
        }
        if (!said.events.isEmpty()) {
            batch = said.events;
            taken = 0;
            after = said.cursor;
            return false;
        }
        if (said.snapshot != null && said.snapshot.getLast()) {
            awaitsSnapshot = false;
        }
        passed(said.cursor);
        if (said.closing != null) {
            lost(closingError(said.closing));
        }
        boolean news = said.caughtUp && !caughtUp;
        caughtUp |= said.caughtUp;
        return news;
    }

    private void lost(GatewayException error) {
        hangUp();
        if (!mayResume(error)) {
            failed = error;
            connection.forget(this);
            return;
        }
        connection.connectSoon();
        resumeAt = System.nanoTime() + pauses.next(error.retryDelay());
    }

    private void hangUp() {
        caughtUp = false;
        ClientCall<?, ?> open = call;
        call = null;
        if (open != null) {
            open.cancel("resuming", null);
        }
    }

    /** Whether a new connection can help. Before the first one stood, a crowded gateway is the caller's to know. */
    private boolean mayResume(GatewayException error) {
        return switch (error.reason()) {
            case ERROR_REASON_TOO_MANY_STREAMS -> everOpened;
            case ERROR_REASON_SLOW_CONSUMER -> true;
            default -> error.invitesRepeat();
        };
    }

    private static GatewayException unavailable(String text) {
        return new GatewayException(Status.Code.UNAVAILABLE, text);
    }

    private static GatewayException closingError(StreamClosing closing) {
        ErrorReason reason = closing.getReason();
        Status.Code code =
                switch (reason) {
                    case ERROR_REASON_TOKEN_REVOKED -> Status.Code.UNAUTHENTICATED;
                    case ERROR_REASON_SLOW_CONSUMER -> Status.Code.RESOURCE_EXHAUSTED;
                    default -> Status.Code.UNAVAILABLE;
                };
        String name = GatewayException.nameOf(reason, closing.getReasonValue());
        return new GatewayException(code, reason, name, closing.getMessage(), List.of(), Map.of(), null, null);
    }

    /**
     * The item of the next event that was not given before; null where the batch has ended.
     *
     * <p>A cursor of an event speaks of its account alone. Where the stream may hold several, the safe one between two
     * events of a batch is that of the message before: resuming there repeats up to a batch and loses nothing.
     */
    private T nextOfBatch() {
        while (taken < batch.size()) {
            Event event = batch.get(taken++);
            boolean last = taken == batch.size();
            if (last) {
                passed(after);
                batch = List.of();
                taken = 0;
            }
            if (Long.compareUnsigned(event.getSequence(), seen.getOrDefault(event.getAccountId(), 0L)) <= 0) {
                continue;
            }
            seen.put(event.getAccountId(), event.getSequence());
            if (!last && from.accounts().size() == 1) {
                passed(event.getCursor());
            }
            T item = itemOf(event);
            if (item != null) {
                return item;
            }
        }
        return null;
    }

    private void passed(String reached) {
        if (!reached.isEmpty() && !awaitsSnapshot) {
            cursor = reached;
        }
    }
}
