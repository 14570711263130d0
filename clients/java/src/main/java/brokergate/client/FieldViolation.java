package brokergate.client;

/** One field that is wrong: its path from the request ({@code order.limit_price}), and what is wrong with it. */
public record FieldViolation(String field, String description) {}
