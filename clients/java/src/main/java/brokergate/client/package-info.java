/**
 * Trading through a brokergate gateway: calls that may be repeated safely, streams that resume by their cursor, exact
 * decimals and typed errors. {@link brokergate.client.Gateway} is where to begin; the messages are in {@code
 * brokergate.v1}.
 */
package brokergate.client;
