package brokergate.client;

import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.ThreadLocalRandom;

/**
 * Pauses that grow: each is drawn from nothing to a span that doubles, so that the clients of a gateway that comes back do
 * not knock all at once.
 */
final class Pauses {
    private static final long FIRST_NANOS = Duration.ofMillis(100).toNanos();
    private static final long LONGEST_NANOS = Duration.ofSeconds(2).toNanos();
    private long span;

    /** The next pause in nanoseconds, never shorter than the gateway asked for. */
    long next(Optional<Duration> atLeast) {
        span = Math.min(Math.max(2 * span, FIRST_NANOS), LONGEST_NANOS);
        return Math.max(ThreadLocalRandom.current().nextLong(span), atLeast.map(Duration::toNanos).orElse(0L));
    }

    /** Something went well: begin with short ones again. */
    void reset() {
        span = 0;
    }
}
