package brokergate.client;

/** Where an order goes: an account, or a route; the other one is empty. */
public record Target(String accountId, String routeId) {
    /** The account with this id. */
    public static Target account(String id) {
        return new Target(id, "");
    }

    /** The route with this id. */
    public static Target route(String id) {
        return new Target("", id);
    }
}
