#pragma once

#include <chrono>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "brokergate/decimal.hpp"
#include "brokergate/error.hpp"
#include "brokergate/streams.hpp"
#include "brokergate/v1/account_service.grpc.pb.h"
#include "brokergate/v1/broker_service.grpc.pb.h"
#include "brokergate/v1/event_service.grpc.pb.h"
#include "brokergate/v1/instrument_service.grpc.pb.h"
#include "brokergate/v1/market_data_service.grpc.pb.h"
#include "brokergate/v1/order_service.grpc.pb.h"
#include "brokergate/v1/position_service.grpc.pb.h"
#include "brokergate/v1/simulator_service.grpc.pb.h"
#include "brokergate/v1/trading_control_service.grpc.pb.h"

namespace brokergate {

/// A bearer token, which nothing prints.
class Token {
 public:
  Token() = default;
  /// Throws `Error` (INVALID_ARGUMENT) for text with blanks or control characters.
  Token(std::string text);
  Token(const char* text) : Token(std::string(text)) {}
  bool empty() const noexcept { return text_.empty(); }

 private:
  friend struct Connection;
  std::string text_;
};

std::ostream& operator<<(std::ostream& out, const Token& token);

/// Encrypt, and check the gateway's certificate against `roots`, or the usual authorities where empty. All are PEM.
struct Tls {
  std::string roots;
  /// With both the client shows a certificate of its own (mTLS).
  std::string certificate;
  std::string key;
  /// The name to expect in the gateway's certificate where it is not the address's.
  std::string server_name;

  /// The text of a PEM file, for the fields above. Throws `std::runtime_error` where it cannot be read.
  static std::string read_file(const std::string& path);
};

struct Options {
  /// Sent over TLS, or to this machine alone.
  Token token;
  /// Nothing is encrypted without.
  std::optional<Tls> tls;
  /// Bounds every unary call, its repeats included.
  std::chrono::milliseconds timeout = std::chrono::seconds(10);
  /// A silent connection is asked for a sign of life after the first, and given up after the second.
  std::chrono::milliseconds keepalive_time = std::chrono::seconds(20);
  std::chrono::milliseconds keepalive_timeout = std::chrono::seconds(10);
  /// What the gateway's audit calls this program, beside its token's name.
  std::string client_name = "brokergate-cpp";
};

struct CallOptions {
  /// In place of `Options::timeout`.
  std::optional<std::chrono::milliseconds> timeout;
  /// Gives the call up: `Error` with CANCELLED.
  std::stop_token stop;
};

/// A client_order_id or request_id that nobody else makes: 26 characters of `[0-9A-Z]` that sort by the time of their
/// making.
std::string new_id();

/// What an order asks for. Everything else is set on the message that they give.
v1::OrderSpec market_order(std::string symbol, v1::Side side, const Decimal& quantity);
v1::OrderSpec limit_order(std::string symbol, v1::Side side, const Decimal& quantity, const Decimal& price);

/// Names an order of an account.
v1::OrderRef by_order_id(std::string order_id);
v1::OrderRef by_client_order_id(std::string client_order_id);

/// A connection to a gateway, which is made when it is first used. May be used by many threads at once; copies share
/// it.
///
/// Every call throws `Error`. One whose answer was lost, or that the gateway answers UNAVAILABLE, is sent again under
/// the same id until its time is over, which never does a thing twice. Messages are the contract's own
/// (`brokergate::v1`).
class Gateway {
 public:
  /// `address` is `host:port` or `unix:/path`. Throws `Error` (INVALID_ARGUMENT) for a token that would leave this
  /// machine unencrypted.
  explicit Gateway(const std::string& address, const Options& options = {});

  /// Any unary call of the contract: `gateway.call(&v1::AccountService::Stub::GetAccount, request)`. Ids that the
  /// request needs and has not are made.
  template <class Stub, class Request, class Answer>
  Answer call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Answer*),
              std::type_identity_t<Request> request, const CallOptions& options = {}) const {
    Answer answer;
    repeat(request, options,
           [&](grpc::ClientContext& context) { return (stub<Stub>().*method)(&context, request, &answer); });
    return answer;
  }

  /// Places an order. Here and in `replace` a decimal that is none is refused before it is sent: INVALID_ARGUMENT,
  /// naming the field. To repeat it after a crash of your own give a client_order_id and keep it. What a rule or the
  /// venue refuses is an answer: state REJECTED, with its `reject_reason`.
  v1::PlaceOrderResponse place(std::string account_id, v1::OrderSpec order, std::string client_order_id = {},
                               const CallOptions& options = {}) const;
  /// Changes a working order. `changes` holds what becomes of it and `expected_generation`; what it lacks stays.
  v1::Order replace(std::string account_id, v1::OrderRef order, v1::ReplaceOrderRequest changes,
                    const CallOptions& options = {}) const;
  /// Cancels a working order; it may have filled first.
  v1::Order cancel(std::string account_id, v1::OrderRef order, std::string request_id = {},
                   const CallOptions& options = {}) const;
  /// Where the account's journal stands now: take it before placing, and stream fills after it.
  std::string cursor(std::string account_id, const CallOptions& options = {}) const;
  /// Whether the gateway serves, or one of its services (`brokergate.v1.OrderService`, `brokergate.broker.paper`).
  bool is_serving(const std::string& service = {}, const CallOptions& options = {}) const;

  /// Executions as they are booked, for ever.
  FillStream fills(StreamOptions options = {}) const;
  /// Entries of the journal, for ever.
  EventStream events(StreamOptions options = {}) const;

  /// For the streams that are no journal's (StreamMarketData, StreamOrderEntry, PushMarketData): the stub, and the
  /// context of a call with the token in it.
  template <class Stub>
  Stub& stub() const {
    return *std::get<std::unique_ptr<Stub>>(*stubs_);
  }
  std::unique_ptr<grpc::ClientContext> context() const;

 private:
  using Stubs = std::tuple<std::unique_ptr<v1::AccountService::Stub>, std::unique_ptr<v1::BrokerService::Stub>,
                           std::unique_ptr<v1::EventService::Stub>, std::unique_ptr<v1::InstrumentService::Stub>,
                           std::unique_ptr<v1::MarketDataService::Stub>, std::unique_ptr<v1::OrderService::Stub>,
                           std::unique_ptr<v1::PositionService::Stub>, std::unique_ptr<v1::SimulatorService::Stub>,
                           std::unique_ptr<v1::TradingControlService::Stub>>;
  using Attempt = std::function<grpc::Status(grpc::ClientContext&)>;

  void repeat(google::protobuf::Message& request, const CallOptions& options, const Attempt& attempt) const;

  std::shared_ptr<const Connection> connection_;
  std::shared_ptr<const Stubs> stubs_;
};

}  // namespace brokergate
