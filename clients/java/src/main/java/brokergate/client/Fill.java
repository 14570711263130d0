package brokergate.client;

import brokergate.v1.Event;
import java.math.BigDecimal;
import java.util.List;

/**
 * One execution: the contract's message, and its decimals as numbers. {@code cursor} resumes after it: keep it. Of a stream
 * of several accounts it may bring up to a batch again, which {@code eventId} tells.
 */
public record Fill(
        brokergate.v1.Fill message,
        BigDecimal quantity,
        BigDecimal price,
        List<Money> fees,
        String eventId,
        long sequence,
        String cursor) {
    static Fill of(Event event, String cursor) {
        brokergate.v1.Fill fill = event.getFill().getFill();
        return new Fill(
                fill,
                Decimals.of(fill.getQuantity()),
                Decimals.of(fill.getPrice()),
                fill.getFeesList().stream().map(Money::of).toList(),
                event.getEventId(),
                event.getSequence(),
                cursor);
    }
}
