package brokergate.client;

import java.math.BigDecimal;
import java.util.Optional;

/** An order as it stands: the contract's message, and its decimals as numbers. */
public record Order(
        brokergate.v1.Order message,
        BigDecimal quantity,
        BigDecimal cumQuantity,
        BigDecimal leavesQuantity,
        BigDecimal cumNotional,
        Optional<BigDecimal> averagePrice) {
    /** Reads the contract's message. */
    public static Order of(brokergate.v1.Order message) {
        return new Order(
                message,
                Decimals.of(message.getQuantity()),
                Decimals.of(message.getCumQuantity()),
                Decimals.of(message.getLeavesQuantity()),
                Decimals.of(message.getCumNotional()),
                message.hasAveragePrice() ? Optional.of(Decimals.of(message.getAveragePrice())) : Optional.empty());
    }

    /** The gateway's id. */
    public String orderId() {
        return message.getOrderId();
    }

    /** The client's id. */
    public String clientOrderId() {
        return message.getClientOrderId();
    }

    /** Whether the order will not fill any more. */
    public boolean ended() {
        return switch (message.getState()) {
            case ORDER_STATE_FILLED, ORDER_STATE_CANCELED, ORDER_STATE_REJECTED, ORDER_STATE_EXPIRED -> true;
            default -> false;
        };
    }
}
