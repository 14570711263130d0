package brokergate.client;

import brokergate.v1.OrderRef;
import brokergate.v1.OrderSpec;
import brokergate.v1.OrderType;
import brokergate.v1.Side;
import java.math.BigDecimal;

/** Beginnings of orders; the builders take the rest: {@code Orders.limit(…).setPostOnly(true)}. */
public final class Orders {
    private Orders() {}

    /** Takes what the market offers. */
    public static OrderSpec.Builder market(String symbol, Side side, BigDecimal quantity) {
        return OrderSpec.newBuilder()
                .setSymbol(symbol)
                .setSide(side)
                .setType(OrderType.ORDER_TYPE_MARKET)
                .setQuantity(Decimals.text(quantity));
    }

    /** Trades at the price or better. */
    public static OrderSpec.Builder limit(String symbol, Side side, BigDecimal quantity, BigDecimal price) {
        return market(symbol, side, quantity).setType(OrderType.ORDER_TYPE_LIMIT).setLimitPrice(Decimals.text(price));
    }

    /** Becomes a market order once the market has reached the trigger. */
    public static OrderSpec.Builder stop(String symbol, Side side, BigDecimal quantity, BigDecimal trigger) {
        return market(symbol, side, quantity).setType(OrderType.ORDER_TYPE_STOP).setStopPrice(Decimals.text(trigger));
    }

    /** Names an order by the gateway's id. */
    public static OrderRef byId(String orderId) {
        return OrderRef.newBuilder().setOrderId(orderId).build();
    }

    /** Names an order by the client's id. */
    public static OrderRef byClientId(String clientOrderId) {
        return OrderRef.newBuilder().setClientOrderId(clientOrderId).build();
    }
}
