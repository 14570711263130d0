package brokergate.client;

import brokergate.v1.BatchOrder;
import brokergate.v1.BatchPlaceOrdersRequest;
import brokergate.v1.LinkedOrder;
import brokergate.v1.OrderSpec;
import brokergate.v1.PlaceOrderRequest;
import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Message;

/** The ids of requests: which one a request has, and one for each that needs it and has none. */
final class Requests {
    private Requests() {}

    /** The id under which a request may be repeated; empty for a read. */
    static String idOf(Message request) {
        if (request instanceof PlaceOrderRequest place) {
            return place.getClientOrderId();
        }
        if (request instanceof BatchPlaceOrdersRequest batch) {
            return batch.getOrdersCount() == 0 ? "" : batch.getOrders(0).getClientOrderId();
        }
        FieldDescriptor field = request.getDescriptorForType().findFieldByName("request_id");
        return field == null ? "" : (String) request.getField(field);
    }

    /** The request with an id wherever one is needed and none was given. */
    @SuppressWarnings("unchecked")
    static <Q extends Message> Q identified(Q request) {
        if (request instanceof PlaceOrderRequest place) {
            return (Q) identified(place);
        }
        if (request instanceof BatchPlaceOrdersRequest batch) {
            BatchPlaceOrdersRequest.Builder named = batch.toBuilder();
            for (BatchOrder.Builder order : named.getOrdersBuilderList()) {
                if (order.getClientOrderId().isEmpty()) {
                    order.setClientOrderId(Ids.next());
                }
                if (order.hasOrder()) {
                    nameLegs(order.getOrderBuilder(), order.getClientOrderId());
                }
            }
            return (Q) named.build();
        }
        FieldDescriptor field = request.getDescriptorForType().findFieldByName("request_id");
        if (field == null || !((String) request.getField(field)).isEmpty()) {
            return request;
        }
        return (Q) request.toBuilder().setField(field, Ids.next()).build();
    }

    private static PlaceOrderRequest identified(PlaceOrderRequest place) {
        PlaceOrderRequest.Builder named = place.toBuilder();
        if (named.getClientOrderId().isEmpty()) {
            named.setClientOrderId(Ids.next());
        }
        if (named.hasOrder()) {
            nameLegs(named.getOrderBuilder(), named.getClientOrderId());
        }
        int number = 2;
        for (LinkedOrder.Builder linked : named.getOcoOrdersBuilderList()) {
            if (linked.getClientOrderId().isEmpty()) {
                linked.setClientOrderId(named.getClientOrderId() + "-" + number);
            }
            number++;
        }
        return named.build();
    }

    /** Names a bracket's legs after their entry, so that a repeat names them alike. */
    private static void nameLegs(OrderSpec.Builder order, String id) {
        if (order.hasTakeProfit() && order.getTakeProfit().getClientOrderId().isEmpty()) {
            order.getTakeProfitBuilder().setClientOrderId(id + "-tp");
        }
        if (order.hasStopLoss() && order.getStopLoss().getClientOrderId().isEmpty()) {
            order.getStopLossBuilder().setClientOrderId(id + "-sl");
        }
    }
}
