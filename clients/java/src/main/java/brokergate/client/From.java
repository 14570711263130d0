package brokergate.client;

import brokergate.v1.EventKind;
import brokergate.v1.StartPosition;
import java.time.Duration;
import java.time.Instant;
import java.util.List;

/**
 * What a stream gives, and where it starts: after {@code cursor}, else at {@code time}, else at {@code position}. No accounts
 * means every one that the caller may see, as of now.
 *
 * @param cursor or an empty text
 * @param time or null
 * @param symbols filter fills; none means all
 * @param kinds filter events; none means all
 * @param heartbeat how often a quiet stream says that it is there: 1 s to 60 s
 */
public record From(
        List<String> accounts,
        String cursor,
        Instant time,
        StartPosition position,
        List<String> symbols,
        List<EventKind> kinds,
        Duration heartbeat) {
    private static From of(String cursor, Instant time, StartPosition position, String... accounts) {
        return new From(List.of(accounts), cursor, time, position, List.of(), List.of(), Duration.ofSeconds(10));
    }

    /** After a cursor: of an earlier item, or of a list. */
    public static From after(String cursor, String... accounts) {
        return of(cursor, null, StartPosition.START_POSITION_LIVE, accounts);
    }

    /** At the first event that was journalled at this time or later. */
    public static From time(Instant time, String... accounts) {
        return of("", time, StartPosition.START_POSITION_LIVE, accounts);
    }

    /** At the oldest event that is still kept. */
    public static From earliest(String... accounts) {
        return of("", null, StartPosition.START_POSITION_EARLIEST, accounts);
    }

    /** At the next event. */
    public static From live(String... accounts) {
        return of("", null, StartPosition.START_POSITION_LIVE, accounts);
    }

    /** With the state of the accounts, then the events after it; of events alone. */
    public static From snapshot(String... accounts) {
        return of("", null, StartPosition.START_POSITION_SNAPSHOT, accounts);
    }

    /** The same, of these symbols alone. */
    public From symbols(String... wanted) {
        return new From(accounts, cursor, time, position, List.of(wanted), kinds, heartbeat);
    }

    /** The same, of these kinds alone. */
    public From kinds(EventKind... wanted) {
        return new From(accounts, cursor, time, position, symbols, List.of(wanted), heartbeat);
    }

    /** The same, with another heartbeat. */
    public From heartbeat(Duration wanted) {
        return new From(accounts, cursor, time, position, symbols, kinds, wanted);
    }
}
