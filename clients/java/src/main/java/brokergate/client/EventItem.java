package brokergate.client;

import brokergate.v1.Event;
import brokergate.v1.Snapshot;

/**
 * One thing that the stream of events gives. {@code cursor} resumes after it: keep it.
 *
 * @param event an entry of the journal, or null
 * @param snapshot the accounts' state, where one was asked for, or null
 * @param caughtUp whether all that was journalled before the connection has been given; what follows is live
 */
public record EventItem(Event event, Snapshot snapshot, boolean caughtUp, String cursor) {}
