// The conformance runner of C++: reads steps as lines of JSON, does them by this client, and prints what it saw.
// What the steps are says clients/CONFORMANCE.md.

#include <chrono>
#include <condition_variable>
#include <functional>
#include <iostream>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/time_util.h>

#include "brokergate/gateway.hpp"

namespace {

using namespace brokergate;
using google::protobuf::ListValue;
using google::protobuf::Value;
using std::chrono::milliseconds;
using Object = google::protobuf::Struct;
using Clock = std::chrono::steady_clock;

// JSON

Value json(const std::string& text) {
  Value value;
  value.set_string_value(text);
  return value;
}

Value json(const char* text) { return json(std::string(text)); }

Value json(bool flag) {
  Value value;
  value.set_bool_value(flag);
  return value;
}

Value json(double number) {
  Value value;
  value.set_number_value(number);
  return value;
}

Value json(Object object) {
  Value value;
  *value.mutable_struct_value() = std::move(object);
  return value;
}

Value json(ListValue list) {
  Value value;
  *value.mutable_list_value() = std::move(list);
  return value;
}

Value null() {
  Value value;
  value.set_null_value(google::protobuf::NULL_VALUE);
  return value;
}

Object object(std::initializer_list<std::pair<const char*, Value>> members) {
  Object made;
  for (const auto& [key, value] : members) (*made.mutable_fields())[key] = value;
  return made;
}

/// A step; what is null counts as not given.
class Step {
 public:
  explicit Step(Object object) : object_(std::move(object)) {}

  const Value* find(const std::string& key) const {
    const auto found = object_.fields().find(key);
    return found == object_.fields().end() || found->second.kind_case() == Value::kNullValue ? nullptr : &found->second;
  }
  bool has(const std::string& key) const { return find(key) != nullptr; }
  std::string text(const std::string& key) const { return has(key) ? find(key)->string_value() : ""; }
  bool flag(const std::string& key) const { return has(key) && find(key)->bool_value(); }
  double number(const std::string& key) const { return has(key) ? find(key)->number_value() : 0; }
  std::optional<milliseconds> span(const std::string& key) const {
    if (!has(key)) return {};
    return milliseconds(static_cast<std::int64_t>(number(key)));
  }
  std::vector<std::string> texts(const std::string& key) const {
    std::vector<std::string> found;
    if (has(key)) {
      for (const auto& value : find(key)->list_value().values()) found.push_back(value.string_value());
    }
    return found;
  }

 private:
  Object object_;
};

constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string base64(const std::string& bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t j = i; j < i + 3; ++j)
      group = group << 8 | (j < bytes.size() ? static_cast<std::uint8_t>(bytes[j]) : 0u);
    for (std::size_t j = 0; j < 4; ++j) {
      text.push_back(i + j > bytes.size() ? '=' : kBase64[group >> (18 - 6 * j) & 63]);
    }
  }
  return text;
}

std::string from_base64(const std::string& text) {
  std::string bytes;
  std::uint32_t group = 0;
  int bits = 0;
  for (const char c : text) {
    const auto digit = kBase64.find(c);
    if (digit == std::string_view::npos) continue;
    group = group << 6 | static_cast<std::uint32_t>(digit);
    bits += 6;
    if (bits >= 8) bytes.push_back(static_cast<char>(group >> (bits -= 8) & 0xFF));
  }
  return bytes;
}

// What is printed

template <class Enum>
std::string enum_name(Enum value) {
  const auto* descriptor = google::protobuf::GetEnumDescriptor<Enum>();
  const auto* found = descriptor->FindValueByNumber(static_cast<int>(value));
  const auto* unspecified = descriptor->FindValueByNumber(0);
  const std::size_t prefix = unspecified->name().size() - std::string_view("UNSPECIFIED").size();
  return found == nullptr ? std::to_string(static_cast<int>(value)) : found->name().substr(prefix);
}

template <class Enum>
Enum enum_value(const std::string& name) {
  const auto* descriptor = google::protobuf::GetEnumDescriptor<Enum>();
  const std::string unspecified = descriptor->FindValueByNumber(0)->name();
  const std::string prefix = unspecified.substr(0, unspecified.size() - std::string_view("UNSPECIFIED").size());
  const auto* found = descriptor->FindValueByName(prefix + name);
  if (found == nullptr) throw std::invalid_argument("no enum value " + prefix + name);
  return static_cast<Enum>(found->number());
}

Value decimal(const std::string& text) { return json(Decimal(text).text()); }

Value shown(const v1::Order& order) {
  const auto& spec = order.spec();
  return json(object({{"order_id", json(order.order_id())},
                      {"client_order_id", json(order.client_order_id())},
                      {"account_id", json(order.account_id())},
                      {"symbol", json(spec.symbol())},
                      {"side", json(enum_name(spec.side()))},
                      {"type", json(enum_name(spec.type()))},
                      {"state", json(enum_name(order.state()))},
                      {"generation", json(static_cast<double>(order.generation()))},
                      {"quantity", decimal(order.quantity())},
                      {"cum_quantity", decimal(order.cum_quantity())},
                      {"leaves_quantity", decimal(order.leaves_quantity())},
                      {"limit_price", spec.has_limit_price() ? decimal(spec.limit_price()) : null()},
                      {"average_price", order.has_average_price() ? decimal(order.average_price()) : null()},
                      {"reject_reason", json(enum_name(order.reject_reason()))}}));
}

Value shown(const Error& error) {
  ListValue violations;
  for (const auto& violation : error.violations) {
    *violations.add_values() =
        json(object({{"field", json(violation.field)}, {"description", json(violation.description)}}));
  }
  Object metadata;
  for (const auto& [key, value] : error.metadata) (*metadata.mutable_fields())[key] = json(value);
  const auto delay = error.retry_after;
  return json(object({{"code", json(error.code_name())},
                      {"reason", json(error.reason_name)},
                      {"message", json(error.message)},
                      {"violations", json(violations)},
                      {"metadata", json(metadata)},
                      {"retry_delay_ms", delay ? json(static_cast<double>(delay->count())) : null()},
                      {"outcome_unknown", json(error.outcome_unknown)},
                      {"id", json(error.id)}}));
}

Value shown(const Fill& item) {
  const auto& fill = item.fill;
  ListValue fees;
  for (const auto& fee : fill.fees()) {
    *fees.add_values() =
        json(object({{"amount", decimal(fee.amount())}, {"currency_code", json(fee.currency_code())}}));
  }
  return json(object({{"event_id", json(item.event_id)},
                      {"account_id", json(fill.account_id())},
                      {"sequence", json(std::to_string(item.sequence))},
                      {"cursor", json(item.cursor)},
                      {"fill_id", json(fill.fill_id())},
                      {"client_order_id", json(fill.client_order_id())},
                      {"symbol", json(fill.symbol())},
                      {"side", json(enum_name(fill.side()))},
                      {"quantity", decimal(fill.quantity())},
                      {"price", decimal(fill.price())},
                      {"kind", json(enum_name(fill.kind()))},
                      {"liquidity", json(enum_name(fill.liquidity()))},
                      {"fees", json(fees)}}));
}

Value shown(const Event& item) {
  const auto& event = item.event;
  std::string kind = "UNKNOWN";
  if (const auto* payload =
          event.GetReflection()->GetOneofFieldDescriptor(event, event.GetDescriptor()->FindOneofByName("payload"))) {
    kind = payload->name();
    for (auto& c : kind) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return json(object({{"event_id", json(event.event_id())},
                      {"account_id", json(event.account_id())},
                      {"sequence", json(std::to_string(event.sequence()))},
                      {"cursor", json(item.cursor)},
                      {"kind", json(kind)}}));
}

// Calls by name

/// Asks to be stopped after a time, unless it is destroyed before.
class Alarm {
 public:
  explicit Alarm(std::optional<milliseconds> after) {
    if (!after) return;
    thread_ = std::jthread([this, after = *after](std::stop_token quiet) {
      std::mutex mutex;
      std::unique_lock lock(mutex);
      std::condition_variable_any never;
      never.wait_for(lock, quiet, after, [] { return false; });
      if (!quiet.stop_requested()) stop_.request_stop();
    });
  }
  std::stop_token token() { return stop_.get_token(); }

 private:
  std::stop_source stop_;
  std::jthread thread_;
};

using Bytes = std::string;
using Unary = std::function<Bytes(const Gateway&, const Bytes&, const std::string& id, const CallOptions&)>;

template <class Request>
void set_id(Request& request, const std::string& id) {
  if (id.empty()) return;
  if constexpr (requires { request.set_client_order_id(id); }) {
    request.set_client_order_id(id);
  } else if constexpr (requires { request.set_request_id(id); }) {
    request.set_request_id(id);
  }
}

template <class Stub, class Request, class Answer>
Unary unary(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Answer*)) {
  return [method](const Gateway& gateway, const Bytes& bytes, const std::string& id, const CallOptions& options) {
    Request request;
    if (!request.ParseFromString(bytes)) throw std::invalid_argument("the request does not parse");
    set_id(request, id);
    return gateway.call(method, std::move(request), options).SerializeAsString();
  };
}

#define UNARY(service, rpc) \
  { #service "/" #rpc, unary(&v1::service::Stub::rpc) }

const std::map<std::string, Unary>& unary_calls() {
  static const std::map<std::string, Unary> calls = {
      UNARY(OrderService, PlaceOrder),
      UNARY(OrderService, PreviewOrder),
      UNARY(OrderService, ReplaceOrder),
      UNARY(OrderService, CancelOrder),
      UNARY(OrderService, CancelAllOrders),
      UNARY(OrderService, BatchPlaceOrders),
      UNARY(OrderService, BatchCancelOrders),
      UNARY(OrderService, GetOrder),
      UNARY(OrderService, ListOrders),
      UNARY(OrderService, ListFills),
      UNARY(PositionService, ListPositions),
      UNARY(PositionService, GetPosition),
      UNARY(PositionService, ClosePosition),
      UNARY(AccountService, ListAccounts),
      UNARY(AccountService, GetAccount),
      UNARY(AccountService, ListBalances),
      UNARY(AccountService, ListLedgerEntries),
      UNARY(BrokerService, ListBrokers),
      UNARY(BrokerService, GetBroker),
      UNARY(BrokerService, ReconnectBroker),
      UNARY(InstrumentService, ListInstruments),
      UNARY(InstrumentService, GetInstrument),
      UNARY(MarketDataService, GetQuote),
      UNARY(TradingControlService, GetTradingState),
      UNARY(TradingControlService, EmergencyStop),
      UNARY(TradingControlService, ResumeTrading),
      UNARY(TradingControlService, ListDiscrepancies),
      UNARY(TradingControlService, ClearFreeze),
      UNARY(TradingControlService, ResolveOrder),
      UNARY(TradingControlService, ListAuditRecords),
      UNARY(SimulatorService, CreatePaperAccount),
      UNARY(SimulatorService, ResetPaperAccount),
      UNARY(SimulatorService, ControlTape),
      UNARY(SimulatorService, SetFaults),
  };
  return calls;
}

// The runner

class Runner {
 public:
  Object run(const Step& step) {
    const std::string what = step.text("do");
    if (what == "connect") return connect(step);
    if (what == "disconnect") return disconnect();
    if (what == "new_id") return ids(step);
    if (what == "decimal") return read_decimal(step);
    if (what == "show") return show();
    if (what == "call") return call(step);
    if (what == "stream_call") return stream_call(step);
    if (what == "place") return place(step);
    if (what == "replace") return replace(step);
    if (what == "cancel") return cancel(step);
    if (what == "open") return open(step);
    if (what == "take") return take(step);
    if (what == "stream") return stream(step);
    if (what == "close") return close(step);
    throw std::invalid_argument("no step '" + what + "'");
  }

 private:
  struct Opened {
    std::variant<FillStream, EventStream> stream;
    std::map<std::string, std::uint64_t> highest;
    bool in_order = true;
  };

  Object connect(const Step& step) {
    disconnect();
    Options options;
    options.token = step.text("token");
    if (step.has("ca_file")) {
      Tls tls;
      tls.roots = Tls::read_file(step.text("ca_file"));
      if (step.has("cert_file")) tls.certificate = Tls::read_file(step.text("cert_file"));
      if (step.has("key_file")) tls.key = Tls::read_file(step.text("key_file"));
      tls.server_name = step.text("server_name");
      options.tls = std::move(tls);
    }
    options.timeout = step.span("timeout_ms").value_or(options.timeout);
    options_ = options;
    gateway_.emplace(step.text("address"), options);
    return {};
  }

  Object disconnect() {
    streams_.clear();
    gateway_.reset();
    return {};
  }

  Object ids(const Step& step) {
    ListValue made;
    for (int i = 0; i < step.number("count"); ++i) *made.add_values() = json(new_id());
    return object({{"ids", json(made)}});
  }

  Object read_decimal(const Step& step) {
    try {
      return object({{"text", decimal(step.text("text"))}});
    } catch (const std::invalid_argument& refused) {
      Error error(grpc::INVALID_ARGUMENT, refused.what(), v1::ERROR_REASON_INVALID_FIELD);
      error.violations = {{"text", refused.what()}};
      throw error;
    }
  }

  Object show() {
    std::ostringstream text;
    text << options_.token;
    return object({{"text", json(text.str())}});
  }

  CallOptions call_options(const Step& step) { return {.timeout = step.span("timeout_ms"), .stop = {}}; }

  Object call(const Step& step) {
    const auto found = unary_calls().find(step.text("rpc"));
    if (found == unary_calls().end()) throw std::invalid_argument("no unary call " + step.text("rpc"));
    Alarm alarm(step.span("cancel_after_ms"));
    CallOptions options = call_options(step);
    options.stop = alarm.token();
    const Bytes answer = found->second(gateway(), from_base64(step.text("request")), step.text("id"), options);
    return object({{"response", json(base64(answer))}});
  }

  template <class Request>
  static std::vector<Request> requests(const Step& step) {
    std::vector<Request> parsed;
    for (const auto& text : step.texts("requests")) {
      if (!parsed.emplace_back().ParseFromString(from_base64(text)))
        throw std::invalid_argument("a request does not parse");
    }
    return parsed;
  }

  Object stream_call(const Step& step) {
    const std::string rpc = step.text("rpc");
    const auto take = static_cast<int>(step.number("take"));
    auto context = gateway().context();
    context->set_deadline(std::chrono::system_clock::now() + step.span("timeout_ms").value_or(milliseconds(10'000)));
    ListValue responses;
    // The stream's end, unless enough was read before it.
    const auto read = [&](auto& stream, auto response) {
      while (stream.Read(&response)) {
        *responses.add_values() = json(base64(response.SerializeAsString()));
        if (take > 0 && responses.values_size() == take) {
          context->TryCancel();
          stream.Finish();
          return grpc::Status();
        }
      }
      return stream.Finish();
    };
    grpc::Status status;
    if (rpc == "OrderService/StreamOrderEntry") {
      auto stream = gateway().stub<v1::OrderService::Stub>().StreamOrderEntry(context.get());
      for (const auto& request : requests<v1::StreamOrderEntryRequest>(step)) stream->Write(request);
      stream->WritesDone();
      status = read(*stream, v1::StreamOrderEntryResponse());
    } else if (rpc == "MarketDataService/StreamMarketData") {
      const auto sent = requests<v1::StreamMarketDataRequest>(step);
      auto stream = gateway().stub<v1::MarketDataService::Stub>().StreamMarketData(context.get(), sent.at(0));
      status = read(*stream, v1::StreamMarketDataResponse());
    } else if (rpc == "SimulatorService/PushMarketData") {
      v1::PushMarketDataResponse response;
      auto stream = gateway().stub<v1::SimulatorService::Stub>().PushMarketData(context.get(), &response);
      for (const auto& request : requests<v1::PushMarketDataRequest>(step)) stream->Write(request);
      stream->WritesDone();
      status = stream->Finish();
      *responses.add_values() = json(base64(response.SerializeAsString()));
    } else {
      throw std::invalid_argument("no stream " + rpc);
    }
    if (!status.ok()) throw Error::of(status);
    return object({{"responses", json(responses)}});
  }

  Object place(const Step& step) {
    v1::OrderSpec order;
    order.set_symbol(step.text("symbol"));
    order.set_side(enum_value<v1::Side>(step.text("side")));
    order.set_type(enum_value<v1::OrderType>(step.text("type")));
    if (step.has("quantity")) order.set_quantity(step.text("quantity"));
    if (step.has("limit_price")) order.set_limit_price(step.text("limit_price"));
    if (step.has("stop_price")) order.set_stop_price(step.text("stop_price"));
    if (step.has("time_in_force")) order.set_time_in_force(enum_value<v1::TimeInForce>(step.text("time_in_force")));
    order.set_post_only(step.flag("post_only"));
    const auto placed =
        gateway().place(step.text("account_id"), order, step.text("client_order_id"), call_options(step));
    return object({{"order", shown(placed.order())}, {"already_existed", json(placed.already_existed())}});
  }

  static v1::OrderRef order_of(const Step& step) {
    return step.has("order_id") ? by_order_id(step.text("order_id")) : by_client_order_id(step.text("client_order_id"));
  }

  Object replace(const Step& step) {
    v1::ReplaceOrderRequest changes;
    changes.set_request_id(step.text("request_id"));
    changes.set_expected_generation(static_cast<std::uint32_t>(step.number("expected_generation")));
    if (step.has("quantity")) changes.set_quantity(step.text("quantity"));
    if (step.has("limit_price")) changes.set_limit_price(step.text("limit_price"));
    return object(
        {{"order", shown(gateway().replace(step.text("account_id"), order_of(step), changes, call_options(step)))}});
  }

  Object cancel(const Step& step) {
    const auto order =
        gateway().cancel(step.text("account_id"), order_of(step), step.text("request_id"), call_options(step));
    return object({{"order", shown(order)}});
  }

  Object open(const Step& step) {
    StreamOptions options;
    options.account_ids = step.texts("account_ids");
    options.symbols = step.texts("symbols");
    for (const auto& kind : step.texts("kinds")) options.kinds.push_back(enum_value<v1::EventKind>(kind));
    options.heartbeat = step.span("heartbeat_ms").value_or(options.heartbeat);
    if (step.has("after")) {
      options.start = After{step.text("after")};
    } else if (step.text("start").find('T') != std::string::npos && step.text("start").ends_with('Z')) {
      google::protobuf::Timestamp time;
      google::protobuf::util::TimeUtil::FromString(step.text("start"), &time);
      const std::chrono::nanoseconds since(google::protobuf::util::TimeUtil::TimestampToNanoseconds(time));
      options.start = std::chrono::system_clock::time_point(since);
    } else if (step.has("start")) {
      options.start = enum_value<v1::StartPosition>(step.text("start"));
    }
    const std::string name = step.text("name");
    streams_.erase(name);
    if (step.text("stream") == "fills") {
      streams_.emplace(name, Opened{gateway().fills(std::move(options)), {}});
    } else {
      streams_.emplace(name, Opened{gateway().events(std::move(options)), {}});
    }
    return {};
  }

  Object take(const Step& step) {
    auto& opened = streams_.at(step.text("name"));
    return std::visit([&](auto& stream) { return take_from(stream, opened, step); }, opened.stream);
  }

  template <class Stream>
  static Object take_from(Stream& stream, Opened& opened, const Step& step) {
    using Taken = std::variant_alternative_t<0, typename Stream::Item>;
    const bool summary = step.flag("summary");
    const bool until_caught_up = step.text("until") == "caught_up";
    const auto until = Clock::now() + step.span("timeout_ms").value_or(milliseconds(20'000));
    bool caught_up = false, timed_out = false;
    ListValue items;
    std::optional<Taken> last;
    std::uint64_t count = 0;
    while (!(step.has("count") && static_cast<double>(count) >= step.number("count")) &&
           !(until_caught_up && caught_up)) {
      const auto left = std::chrono::ceil<milliseconds>(until - Clock::now());
      auto item = stream.next(std::max(left, milliseconds(0)));
      if (!item) {
        timed_out = true;
        break;
      }
      if (std::holds_alternative<CaughtUp>(*item)) caught_up = true;
      auto* taken = std::get_if<Taken>(&*item);
      if (taken == nullptr) continue;
      ++count;
      note(opened, *taken);
      if (summary) {
        last = std::move(*taken);
      } else {
        *items.add_values() = shown(*taken);
      }
    }
    Object answer;
    auto& fields = *answer.mutable_fields();
    if (summary) {
      fields["count"] = json(static_cast<double>(count));
      fields["in_order"] = json(opened.in_order);
      fields["last"] = last ? shown(*last) : null();
    } else {
      fields["items"] = json(items);
    }
    if (caught_up && until_caught_up) fields["caught_up"] = json(true);
    if (timed_out) fields["timed_out"] = json(true);
    return answer;
  }

  static void note(Opened& opened, const std::string& account_id, std::uint64_t sequence) {
    auto& highest = opened.highest[account_id];
    opened.in_order = opened.in_order && sequence > highest;
    highest = sequence;
  }
  static void note(Opened& opened, const Fill& item) { note(opened, item.fill.account_id(), item.sequence); }
  static void note(Opened& opened, const Event& item) { note(opened, item.event.account_id(), item.event.sequence()); }

  Object stream(const Step& step) {
    return std::visit(
        [](auto& stream) {
          return object(
              {{"cursor", json(stream.cursor())}, {"reconnects", json(static_cast<double>(stream.reconnects()))}});
        },
        streams_.at(step.text("name")).stream);
  }

  Object close(const Step& step) {
    streams_.erase(step.text("name"));
    return {};
  }

  const Gateway& gateway() const {
    if (!gateway_) throw std::invalid_argument("there is no client: connect first");
    return *gateway_;
  }

  Options options_;
  std::optional<Gateway> gateway_;
  std::map<std::string, Opened> streams_;
};

}  // namespace

int main() {
  Runner runner;
  for (std::string line; std::getline(std::cin, line);) {
    Object answer;
    auto& fields = *answer.mutable_fields();
    try {
      Object step;
      const auto status = google::protobuf::util::JsonStringToMessage(line, &step);
      if (!status.ok()) throw std::invalid_argument(status.ToString());
      fields["ok"] = json(runner.run(Step(std::move(step))));
    } catch (const Error& error) {
      fields["error"] = shown(error);
    } catch (const std::exception& problem) {
      fields["failed"] = json(problem.what());
    }
    std::string text;
    if (!google::protobuf::util::MessageToJsonString(answer, &text).ok())
      text = R"({"failed": "the answer has no JSON"})";
    std::cout << text << std::endl;
  }
}
