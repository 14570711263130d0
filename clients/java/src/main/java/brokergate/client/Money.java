package brokergate.client;

import java.math.BigDecimal;

/** An exact amount of one currency. */
public record Money(BigDecimal amount, String currencyCode) {
    static Money of(brokergate.v1.Money message) {
        return new Money(Decimals.of(message.getAmount()), message.getCurrencyCode());
    }
}
