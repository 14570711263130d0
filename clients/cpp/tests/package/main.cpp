// A program of somebody else's, which knows the client by its installed package alone.

#include <brokergate/gateway.hpp>

int main() {
  const brokergate::Gateway gateway("127.0.0.1:50051");
  const auto order = brokergate::limit_order("BTC/USDT", brokergate::v1::SIDE_BUY, "0.1", "60000");
  return order.limit_price() == "60000" ? 0 : 1;
}
