package brokergate.client;

import brokergate.v1.Event;
import brokergate.v1.EventServiceGrpc;
import brokergate.v1.Snapshot;
import brokergate.v1.StartPosition;
import brokergate.v1.StreamEventsRequest;
import brokergate.v1.StreamFillsRequest;
import com.google.protobuf.Duration;
import com.google.protobuf.Timestamp;
import io.grpc.ClientCall;

/** The two streams: what each asks for, and what it makes of what comes. */
final class Streams {
    private Streams() {}

    private static Duration heartbeat(From from) {
        return Duration.newBuilder()
                .setSeconds(from.heartbeat().getSeconds())
                .setNanos(from.heartbeat().getNano())
                .build();
    }

    private static Timestamp time(From from) {
        return Timestamp.newBuilder()
                .setSeconds(from.time().getEpochSecond())
                .setNanos(from.time().getNano())
                .build();
    }

    static final class Fills extends ResumingStream<Fill> {
        private final From from;

        Fills(Gateway.Connection connection, From from) {
            super(connection, from);
            this.from = from;
        }

        @Override
        ClientCall<?, ?> open(String cursor) {
            StreamFillsRequest.Builder request =
                    StreamFillsRequest.newBuilder()
                            .addAllAccountIds(from.accounts())
                            .addAllSymbols(from.symbols())
                            .setHeartbeatInterval(heartbeat(from));
            if (!cursor.isEmpty()) {
                request.setAfterCursor(cursor);
            } else if (from.time() != null) {
                request.setStartTime(time(from));
            } else {
                request.setStartPosition(from.position());
            }
            return start(
                    EventServiceGrpc.getStreamFillsMethod(),
                    request.build(),
                    said ->
                            new Said(
                                    said.getCursor(),
                                    said.hasOpened() ? said.getOpened() : null,
                                    said.getBatch().getEventsList(),
                                    said.hasCaughtUp(),
                                    said.hasClosing() ? said.getClosing() : null,
                                    null));
        }

        @Override
        Fill itemOf(Event event) {
            // Fees that come later belong to the events; here they only move the cursor.
            return event.hasFill() ? Fill.of(event, cursor()) : null;
        }

        @Override
        Fill itemOf(Said said) {
            return null;
        }
    }

    static final class Events extends ResumingStream<EventItem> {
        private final From from;
        private Snapshot.Builder pages = Snapshot.newBuilder();

        Events(Gateway.Connection connection, From from) {
            super(connection, from);
            this.from = from;
            awaitsSnapshot =
                    from.cursor().isEmpty()
                            && from.time() == null
                            && from.position() == StartPosition.START_POSITION_SNAPSHOT;
        }

        @Override
        ClientCall<?, ?> open(String cursor) {
            // A snapshot that was cut short begins anew.
            pages = Snapshot.newBuilder();
            StreamEventsRequest.Builder request =
                    StreamEventsRequest.newBuilder()
                            .addAllAccountIds(from.accounts())
                            .addAllKinds(from.kinds())
                            .setHeartbeatInterval(heartbeat(from));
            if (!cursor.isEmpty()) {
                request.setAfterCursor(cursor);
            } else if (from.time() != null) {
                request.setStartTime(time(from));
            } else {
                request.setStartPosition(from.position());
            }
            return start(
                    EventServiceGrpc.getStreamEventsMethod(),
                    request.build(),
                    said ->
                            new Said(
                                    said.getCursor(),
                                    said.hasOpened() ? said.getOpened() : null,
                                    said.getBatch().getEventsList(),
                                    said.hasCaughtUp(),
                                    said.hasClosing() ? said.getClosing() : null,
                                    said.hasSnapshot() ? said.getSnapshot() : null));
        }

        @Override
        EventItem itemOf(Event event) {
            return new EventItem(event, null, false, cursor());
        }

        @Override
        EventItem itemOf(Said said) {
            if (said.snapshot() != null) {
                pages.mergeFrom(said.snapshot());
                return said.snapshot().getLast() ? new EventItem(null, pages.build(), false, cursor()) : null;
            }
            return said.caughtUp() ? new EventItem(null, null, true, cursor()) : null;
        }
    }
}
