#include <array>
#include <chrono>
#include <mutex>
#include <random>
#include <set>
#include <string_view>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "connection.hpp"

namespace brokergate {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

/// The fields of orders that hold decimals.
const std::set<std::string_view> kDecimals = {"quantity",     "quote_quantity", "limit_price",     "stop_price",
                                              "trail_amount", "trail_percent",  "display_quantity"};

void find_violations(const Message& message, const std::string& path, std::vector<FieldViolation>& found) {
  const auto* reflection = message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const auto* field : fields) {
    const std::string name = path + field->name();
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field->is_map()) {
      if (!field->is_repeated()) find_violations(reflection->GetMessage(message, field), name + ".", found);
      for (int i = 0; field->is_repeated() && i < reflection->FieldSize(message, field); ++i) {
        const auto& item = reflection->GetRepeatedMessage(message, field, i);
        find_violations(item, name + "[" + std::to_string(i) + "].", found);
      }
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING && !field->is_repeated() &&
               kDecimals.contains(field->name())) {
      const std::string text = reflection->GetString(message, field);
      if (!Decimal::is_valid(text)) {
        found.push_back(
            {name, "'" + text.substr(0, 64) +
                       "' is not a decimal in plain notation with at most 20 digits before the point and 18 after"});
      }
    }
  }
}

void name_legs(v1::OrderSpec& order, const std::string& id) {
  if (order.has_take_profit() && order.take_profit().client_order_id().empty()) {
    order.mutable_take_profit()->set_client_order_id(id + "-tp");
  }
  if (order.has_stop_loss() && order.stop_loss().client_order_id().empty()) {
    order.mutable_stop_loss()->set_client_order_id(id + "-sl");
  }
}

}  // namespace

std::string new_id() {
  static constexpr std::string_view kDigits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";  // Crockford's, in the order of ASCII
  static std::mutex mutex;
  static std::uint64_t last_ms = 0;
  static std::array<std::uint8_t, 16> random;  // of 5 bits each
  const std::lock_guard lock(mutex);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto now_ms = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  if (now_ms > last_ms) {
    last_ms = now_ms;
    std::random_device device;
    for (auto& digit : random) digit = device() % 32;
    random[0] %= 16;  // room to count up
  } else {
    // Of the same millisecond, or the clock was set back: one more, so that it sorts after.
    for (auto digit = random.rbegin(); digit != random.rend(); ++digit) {
      *digit = (*digit + 1) % 32;
      if (*digit != 0) break;
    }
  }
  std::string id;
  for (int shift = 45; shift >= 0; shift -= 5) id.push_back(kDigits[(last_ms >> shift) % 32]);
  for (const auto digit : random) id.push_back(kDigits[digit]);
  return id;
}

Error refused(std::vector<FieldViolation> violations) {
  Error error(grpc::INVALID_ARGUMENT, violations.at(0).field + ": " + violations.at(0).description,
              v1::ERROR_REASON_INVALID_FIELD);
  error.violations = std::move(violations);
  return error;
}

std::string name(Message& request) {
  if (auto* place = dynamic_cast<v1::PlaceOrderRequest*>(&request)) {
    if (place->client_order_id().empty()) place->set_client_order_id(new_id());
    if (place->has_order()) name_legs(*place->mutable_order(), place->client_order_id());
    for (int i = 0; i < place->oco_orders_size(); ++i) {
      auto& linked = *place->mutable_oco_orders(i);
      if (linked.client_order_id().empty()) {
        linked.set_client_order_id(place->client_order_id() + "-" + std::to_string(i + 2));
      }
    }
    return place->client_order_id();
  }
  if (auto* batch = dynamic_cast<v1::BatchPlaceOrdersRequest*>(&request)) {
    for (auto& order : *batch->mutable_orders()) {
      if (order.client_order_id().empty()) order.set_client_order_id(new_id());
      if (order.has_order()) name_legs(*order.mutable_order(), order.client_order_id());
    }
    return batch->orders_size() > 0 ? batch->orders(0).client_order_id() : "";
  }
  const auto* field = request.GetDescriptor()->FindFieldByName("request_id");
  if (field == nullptr) return "";
  const auto* reflection = request.GetReflection();
  if (reflection->GetString(request, field).empty()) reflection->SetString(&request, field, new_id());
  return reflection->GetString(request, field);
}

void check_decimals(const Message& request) {
  std::vector<FieldViolation> found;
  find_violations(request, "", found);
  if (!found.empty()) throw refused(std::move(found));
}

v1::OrderSpec market_order(std::string symbol, v1::Side side, const Decimal& quantity) {
  v1::OrderSpec order;
  order.set_symbol(std::move(symbol));
  order.set_side(side);
  order.set_type(v1::ORDER_TYPE_MARKET);
  order.set_quantity(quantity.text());
  return order;
}

v1::OrderSpec limit_order(std::string symbol, v1::Side side, const Decimal& quantity, const Decimal& price) {
  v1::OrderSpec order = market_order(std::move(symbol), side, quantity);
  order.set_type(v1::ORDER_TYPE_LIMIT);
  order.set_limit_price(price.text());
  return order;
}

v1::OrderRef by_order_id(std::string order_id) {
  v1::OrderRef order;
  order.set_order_id(std::move(order_id));
  return order;
}

v1::OrderRef by_client_order_id(std::string client_order_id) {
  v1::OrderRef order;
  order.set_client_order_id(std::move(client_order_id));
  return order;
}

}  // namespace brokergate
