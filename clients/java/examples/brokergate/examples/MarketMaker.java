package brokergate.examples;

/** Quotes. */
public final class MarketMaker {
    private MarketMaker() {}
}
