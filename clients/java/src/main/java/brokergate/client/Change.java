package brokergate.client;

import brokergate.v1.ReplaceOrderRequest;
import java.math.BigDecimal;

/** What a replace changes: {@code new Change().limitPrice(price)}. What is not named stays as it is. */
public final class Change {
    private final ReplaceOrderRequest.Builder request = ReplaceOrderRequest.newBuilder();

    /** The new total, what is filled included. */
    public Change quantity(BigDecimal quantity) {
        request.setQuantity(Decimals.text(quantity));
        return this;
    }

    /** The new limit. */
    public Change limitPrice(BigDecimal price) {
        request.setLimitPrice(Decimals.text(price));
        return this;
    }

    /** The new trigger. */
    public Change stopPrice(BigDecimal price) {
        request.setStopPrice(Decimals.text(price));
        return this;
    }

    /** Makes repeating safe; one is made where it is not given. */
    public Change requestId(String id) {
        request.setRequestId(id);
        return this;
    }

    ReplaceOrderRequest.Builder request() {
        return request.clone();
    }
}
