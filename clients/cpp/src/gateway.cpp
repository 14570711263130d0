#include "brokergate/gateway.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <condition_variable>
#include <fstream>
#include <future>
#include <mutex>
#include <ostream>
#include <random>
#include <regex>
#include <sstream>

#include <grpcpp/generic/generic_stub.h>

#include "connection.hpp"
#include "status_details.pb.h"

namespace brokergate {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr int kLargestAnswer = 16 * 1024 * 1024;
constexpr milliseconds kShortestSpan{100}, kLongestSpan{2000};

/// Whether what goes to `address` stays on this machine.
bool is_loopback(const std::string& address) {
  if (address.starts_with("unix:") || address.starts_with("unix-abstract:")) return true;
  // One host and a port: `ipv4:` may hold a list, and `dns://` names first who is asked for the name.
  static const std::regex one_host(R"((?:(?:dns|ipv4|ipv6):)?/*(?:\[([^\]]*)\]|([^:/,]*))(?::[\w-]+)?)");
  std::smatch found;
  if (!std::regex_match(address, found, one_host)) return false;
  std::string host = found[1].matched ? found[1] : found[2];
  std::transform(host.begin(), host.end(), host.begin(), [](unsigned char c) { return std::tolower(c); });
  in_addr v4{};
  in6_addr v6{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  if (inet_pton(AF_INET6, host.c_str(), &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
  return host == "localhost";
}

std::shared_ptr<grpc::ChannelCredentials> credentials_of(const std::optional<Tls>& tls) {
  if (!tls) return grpc::InsecureChannelCredentials();
  if (tls->certificate.empty() != tls->key.empty()) {
    throw refused({{"certificate", "certificate and key go together: give both for mTLS, or neither"}});
  }
  return grpc::SslCredentials({tls->roots, tls->key, tls->certificate});
}

/// Whether this error says nothing of what an earlier attempt did: it came before the id was looked up.
bool leaves_open(const Error& error) {
  return error.code == grpc::UNAUTHENTICATED || error.code == grpc::PERMISSION_DENIED ||
         error.code == grpc::UNAVAILABLE || error.answer_was_lost();
}

}  // namespace

Token::Token(std::string text) : text_(std::move(text)) {
  const bool clean = std::all_of(text_.begin(), text_.end(), [](unsigned char c) { return c > 32 && c < 127; });
  // The value itself stays out of the message.
  if (!clean) {
    throw refused({{"token", "it holds blanks or control characters; give it as it was printed"}});
  }
}

std::ostream& operator<<(std::ostream& out, const Token&) { return out << "Token(...)"; }

std::string Tls::read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) throw std::runtime_error("cannot read " + path);
  return text.str();
}

Connection::Connection(const std::string& address, const Options& options)
    : timeout(options.timeout), authorization_(options.token.empty() ? "" : "Bearer " + options.token.text_) {
  if (!authorization_.empty() && !options.tls && !is_loopback(address)) {
    throw refused({{"token", "for '" + address + "' it would be sent unencrypted; give Options::tls"}});
  }
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, static_cast<int>(options.keepalive_time.count()));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, static_cast<int>(options.keepalive_timeout.count()));
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // gRPC's own pauses between connections grow to two minutes, which is long for one who holds positions.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, static_cast<int>(kShortestSpan.count()));
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, static_cast<int>(kLongestSpan.count()));
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, static_cast<int>(kLongestSpan.count()));
  // Repeating is decided where the ids are known: `Gateway::repeat`.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  // Two clients in one process do not share a connection, and so not its fate.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // gRPC would go by way of the proxy that the environment names, and the token with it.
  if (is_loopback(address)) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(kLargestAnswer);
  arguments.SetUserAgentPrefix(options.client_name);
  if (options.tls && !options.tls->server_name.empty()) arguments.SetSslTargetNameOverride(options.tls->server_name);
  channel = grpc::CreateCustomChannel(address, credentials_of(options.tls), arguments);
}

void Connection::prepare(grpc::ClientContext& context) const {
  if (!authorization_.empty()) context.AddMetadata("authorization", authorization_);
}

milliseconds Backoff::next(std::optional<milliseconds> at_least) {
  thread_local std::mt19937_64 random{std::random_device{}()};
  span_ = span_.count() == 0 ? kShortestSpan : std::min(kLongestSpan, span_ * 2);
  const milliseconds drawn(std::uniform_int_distribution<std::int64_t>(0, span_.count())(random));
  return std::max(drawn, at_least.value_or(milliseconds(0)));
}

bool pause(std::stop_token stop, Clock::time_point until) {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any never;
  never.wait_until(lock, stop, until, [] { return false; });
  return !stop.stop_requested();
}

Gateway::Gateway(const std::string& address, const Options& options)
    : connection_(std::make_shared<Connection>(address, options)) {
  const auto& channel = connection_->channel;
  stubs_ = std::make_shared<const Stubs>(v1::AccountService::NewStub(channel), v1::BrokerService::NewStub(channel),
                                         v1::EventService::NewStub(channel), v1::InstrumentService::NewStub(channel),
                                         v1::MarketDataService::NewStub(channel), v1::OrderService::NewStub(channel),
                                         v1::PositionService::NewStub(channel), v1::SimulatorService::NewStub(channel),
                                         v1::TradingControlService::NewStub(channel));
}

void Gateway::repeat(google::protobuf::Message& request, const CallOptions& options, const Attempt& attempt) const {
  const std::string id = name(request);
  const auto timeout = options.timeout.value_or(connection_->timeout);
  const auto deadline = Clock::now() + timeout;
  const auto wall_deadline = std::chrono::system_clock::now() + timeout;
  Backoff backoff;
  bool lost = false;
  std::optional<Error> before;
  const auto fail = [&](Error error) {
    error.id = id;
    // Any other error is the gateway's final word on the id, after it has looked the id up.
    error.outcome_unknown = lost && !id.empty() && leaves_open(error);
    error.describe();
    throw error;
  };
  const Error given_up(grpc::CANCELLED, "the caller gave up");
  while (!options.stop.stop_requested()) {
    grpc::Status status;
    {
      grpc::ClientContext context;
      connection_->prepare(context);
      context.set_deadline(wall_deadline);
      const std::stop_callback cancel(options.stop, [&context] { context.TryCancel(); });
      status = attempt(context);
    }
    if (status.ok()) return;
    const Error error = Error::of(status);
    lost = lost || error.answer_was_lost();
    if (before && error.code == grpc::DEADLINE_EXCEEDED && error.reason_name.empty()) {
      // What went wrong before says more than that time ran out.
      before->message += "; asked again, and no answer came before the deadline";
      fail(*before);
    }
    if (!error.invites_repeat()) fail(error);
    const auto again = Clock::now() + backoff.next(error.retry_after);
    if (again >= deadline && !options.stop.stop_requested()) fail(error);
    if (!pause(options.stop, again)) break;
    before = error;
  }
  fail(given_up);
}

std::unique_ptr<grpc::ClientContext> Gateway::context() const {
  auto context = std::make_unique<grpc::ClientContext>();
  connection_->prepare(*context);
  return context;
}

v1::PlaceOrderResponse Gateway::place(std::string account_id, v1::OrderSpec order, std::string client_order_id,
                                      const CallOptions& options) const {
  v1::PlaceOrderRequest request;
  request.set_account_id(std::move(account_id));
  request.set_client_order_id(std::move(client_order_id));
  *request.mutable_order() = std::move(order);
  check_decimals(request);
  return call(&v1::OrderService::Stub::PlaceOrder, std::move(request), options);
}

v1::Order Gateway::replace(std::string account_id, v1::OrderRef order, v1::ReplaceOrderRequest changes,
                           const CallOptions& options) const {
  changes.set_account_id(std::move(account_id));
  *changes.mutable_order() = std::move(order);
  check_decimals(changes);
  return call(&v1::OrderService::Stub::ReplaceOrder, std::move(changes), options).order();
}

v1::Order Gateway::cancel(std::string account_id, v1::OrderRef order, std::string request_id,
                          const CallOptions& options) const {
  v1::CancelOrderRequest request;
  request.set_account_id(std::move(account_id));
  *request.mutable_order() = std::move(order);
  request.set_request_id(std::move(request_id));
  return call(&v1::OrderService::Stub::CancelOrder, std::move(request), options).order();
}

std::string Gateway::cursor(std::string account_id, const CallOptions& options) const {
  v1::GetAccountRequest request;
  request.set_account_id(std::move(account_id));
  return call(&v1::AccountService::Stub::GetAccount, std::move(request), options).cursor();
}

bool Gateway::is_serving(const std::string& service, const CallOptions& options) const {
  details::HealthCheckRequest request;
  details::HealthCheckResponse answer;
  request.set_service(service);
  grpc::TemplatedGenericStub<details::HealthCheckRequest, details::HealthCheckResponse> stub(connection_->channel);
  repeat(request, options, [&](grpc::ClientContext& context) {
    std::promise<grpc::Status> done;
    stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", grpc::StubOptions(), &request, &answer,
                   [&done](grpc::Status status) { done.set_value(std::move(status)); });
    return done.get_future().get();
  });
  constexpr int kServing = 1;
  return answer.status() == kServing;
}

FillStream Gateway::fills(StreamOptions options) const { return FillStream(connection_, std::move(options)); }

EventStream Gateway::events(StreamOptions options) const { return EventStream(connection_, std::move(options)); }

}  // namespace brokergate
