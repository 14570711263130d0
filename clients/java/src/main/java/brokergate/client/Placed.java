package brokergate.client;

import java.util.List;

/**
 * The answer to an order. One that a rule or the venue refused is no error: its state is REJECTED. {@code alreadyExisted}
 * says that the id was known, and nothing new was placed; {@code linkedOrders} are the others of a bracket or OCO group.
 */
public record Placed(Order order, boolean alreadyExisted, List<Order> linkedOrders) {}
