// A market maker for a paper account: it quotes one bid below the market's and one ask above it, moves them with it,
// follows its fills, and on Ctrl+C, or after --seconds, cancels both and closes the position.
//
//     build/market_maker --seconds 30
//
// A token is taken from BROKERGATE_TOKEN.

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <syncstream>
#include <thread>
#include <tuple>

#include "brokergate/gateway.hpp"

using namespace brokergate;

namespace {

/// One line, whole, also while the other thread prints.
std::osyncstream say() { return std::osyncstream(std::cout); }

bool has_ended(const v1::Order& order) {
  return order.state() == v1::ORDER_STATE_FILLED || order.state() == v1::ORDER_STATE_CANCELED ||
         order.state() == v1::ORDER_STATE_REJECTED || order.state() == v1::ORDER_STATE_EXPIRED;
}

class MarketMaker {
 public:
  /// Quotes of `quantity`, `ticks` behind the best prices; the position is at most `most` quotes, long or short.
  MarketMaker(Gateway gateway, std::string account_id, std::string symbol, Decimal quantity, long ticks, long most)
      : gateway_(std::move(gateway)),
        account_id_(std::move(account_id)),
        symbol_(std::move(symbol)),
        quantity_(quantity),
        room_(quantity * (most - 1)) {
    v1::GetInstrumentRequest request;
    request.set_account_id(account_id_);
    request.set_symbol(symbol_);
    const auto answer = gateway_.call(&v1::InstrumentService::Stub::GetInstrument, request);
    away_ = Decimal(answer.instrument().price_increment()) * ticks;
  }

  /// Takes over what the account holds; returns the cursor after which its fills are to be told.
  std::string begin() {
    const auto held = positions();
    position_ = holding(held);
    return held.cursor();
  }

  /// From the thread that follows the fills; returns the position.
  Decimal on_fill(const v1::Fill& fill) {
    const std::lock_guard lock(mutex_);
    ++fills_;
    const Decimal quantity = fill.quantity();
    return position_ += fill.side() == v1::SIDE_BUY ? quantity : -quantity;
  }

  /// Puts a quote behind each of the best prices; a side without one stays as it is.
  void on_quote(const v1::Quote& market) {
    if (market.has_bid_price()) quote(v1::SIDE_BUY, Decimal(market.bid_price()) - away_, position() <= room_);
    if (market.has_ask_price()) quote(v1::SIDE_SELL, Decimal(market.ask_price()) + away_, position() >= -room_);
  }

  /// Cancels what works on the symbol, an order also whose answer was lost, and closes the position. Throws where
  /// anything is left.
  void flatten() {
    std::string left;
    try {
      left = close_all();
    } catch (const Error& error) {
      left = std::string(" orders and a position, as far as is known: ") + error.what();
    }
    if (!left.empty()) throw std::runtime_error("NOT FLAT in " + symbol_ + ":" + left);
  }

  std::uint64_t placed() const { return placed_; }
  std::uint64_t replaced() const { return replaced_; }
  std::uint64_t fills() const { return fills_; }

 private:
  /// Returns what is left.
  std::string close_all() {
    v1::CancelAllOrdersRequest cancel;
    cancel.set_account_id(account_id_);
    cancel.set_symbol(symbol_);
    gateway_.call(&v1::OrderService::Stub::CancelAllOrders, cancel);
    try {
      v1::ClosePositionRequest request;
      request.set_account_id(account_id_);
      request.set_symbol(symbol_);
      const auto closed = gateway_.call(&v1::PositionService::Stub::ClosePosition, request).order();
      say() << "closed: " << v1::Side_Name(closed.spec().side()) << " " << closed.cum_quantity() << "\n";
    } catch (const Error& error) {
      if (error.reason != v1::ERROR_REASON_POSITION_NOT_FOUND) throw;
    }
    std::string left;
    v1::ListOrdersRequest open;
    open.set_account_id(account_id_);
    open.set_symbol(symbol_);
    open.set_open_only(true);
    const auto working = gateway_.call(&v1::OrderService::Stub::ListOrders, open);
    for (const auto& order : working.orders()) left += " order " + order.order_id();
    const auto held = positions();
    if (held.stale()) left += " a position, as far as is known: the broker is away";
    if (const Decimal quantity = holding(held); quantity.sign() != 0) left += " position " + quantity.text();
    return left;
  }

  v1::ListPositionsResponse positions() {
    v1::ListPositionsRequest request;
    request.set_account_id(account_id_);
    return gateway_.call(&v1::PositionService::Stub::ListPositions, request);
  }

  Decimal holding(const v1::ListPositionsResponse& held) const {
    for (const auto& position : held.positions()) {
      if (position.symbol() == symbol_) return position.quantity();
    }
    return 0;
  }

  Decimal position() {
    const std::lock_guard lock(mutex_);
    return position_;
  }

  /// Has the side's order work at `price`, or not at all. Where that fails the next quote tries again.
  void quote(v1::Side side, const Decimal& price, bool wanted) {
    const auto found = quotes_.find(side);
    const auto standing = found == quotes_.end() ? std::nullopt : std::optional(found->second);
    std::optional<v1::Order> order;
    try {
      try {
        order = moved(side, standing, price, wanted);
      } catch (const Error& error) {
        if (!standing) throw;
        if (error.reason != v1::ERROR_REASON_ORDER_ENDED) say() << v1::Side_Name(side) << ": " << error.what() << "\n";
        // It filled, somebody else changed it, or the outcome is not known: what it is now decides.
        order = look(standing->order_id());
      }
    } catch (const Error& error) {
      say() << v1::Side_Name(side) << ": " << error.what() << "\n";
      return;
    }
    if (order && !has_ended(*order)) {
      quotes_[side] = std::move(*order);
    } else {
      quotes_.erase(side);
    }
  }

  /// The side's order as it is after what there was to do.
  std::optional<v1::Order> moved(v1::Side side, const std::optional<v1::Order>& standing, const Decimal& price,
                                 bool wanted) {
    if (!standing) {
      if (!wanted && !unanswered_.contains(side)) return std::nullopt;
      return place(side, price);
    }
    const auto name = by_order_id(standing->order_id());
    if (!wanted) return gateway_.cancel(account_id_, name);
    // It may have filled here, or somebody else have ended it.
    if (Decimal(standing->spec().limit_price()) == price) return look(standing->order_id());
    v1::ReplaceOrderRequest changes;
    changes.set_expected_generation(standing->generation());
    changes.set_limit_price(price.text());
    const auto order = gateway_.replace(account_id_, name, changes);
    ++replaced_;
    return order;
  }

  /// Places a quote, or learns what became of one whose answer never came: under its id it is placed once.
  v1::Order place(v1::Side side, const Decimal& price) {
    std::string client_order_id;
    auto spec = limit_order(symbol_, side, quantity_, price);
    spec.set_post_only(true);
    if (const auto open = unanswered_.extract(side)) std::tie(client_order_id, spec) = open.mapped();
    v1::Order order;
    try {
      order = gateway_.place(account_id_, spec, client_order_id).order();
    } catch (const Error& error) {
      if (error.outcome_unknown) unanswered_[side] = {error.id, spec};
      throw;
    }
    if (order.state() == v1::ORDER_STATE_REJECTED) {
      say() << v1::Side_Name(side) << ": " << v1::ErrorReason_Name(order.reject_reason()) << ": "
            << order.reject_message() << "\n";
    } else {
      ++placed_;
    }
    return order;
  }

  v1::Order look(const std::string& order_id) {
    v1::GetOrderRequest request;
    request.set_account_id(account_id_);
    *request.mutable_order() = by_order_id(order_id);
    return gateway_.call(&v1::OrderService::Stub::GetOrder, request).order();
  }

  Gateway gateway_;
  const std::string account_id_, symbol_;
  const Decimal quantity_;
  /// Up to this position, long or short, there is room for a quote.
  const Decimal room_;
  Decimal away_;
  std::map<v1::Side, v1::Order> quotes_;
  /// Placed, and nobody knows whether: the client_order_id, and what.
  std::map<v1::Side, std::pair<std::string, v1::OrderSpec>> unanswered_;
  std::uint64_t placed_ = 0, replaced_ = 0;
  std::mutex mutex_;
  /// These are told by another thread.
  Decimal position_;
  std::uint64_t fills_ = 0;
};

/// Whether a market stream ends with it for good.
bool is_final(grpc::StatusCode code) {
  return code == grpc::INVALID_ARGUMENT || code == grpc::NOT_FOUND || code == grpc::FAILED_PRECONDITION ||
         code == grpc::UNAUTHENTICATED || code == grpc::PERMISSION_DENIED || code == grpc::UNIMPLEMENTED;
}

/// Gives every quote to `maker`, over one stream after another, until told to stop.
void follow_market(const Gateway& gateway, MarketMaker& maker, const std::string& account_id, const std::string& symbol,
                   double interval_s, std::stop_token stop) {
  v1::StreamMarketDataRequest request;
  request.set_account_id(account_id);
  request.add_symbols(symbol);
  request.add_kinds(v1::MARKET_DATA_KIND_QUOTE);
  const double whole_s = std::trunc(interval_s);
  request.mutable_min_interval()->set_seconds(static_cast<std::int64_t>(whole_s));
  request.mutable_min_interval()->set_nanos(static_cast<std::int32_t>((interval_s - whole_s) * 1e9));
  while (!stop.stop_requested()) {
    auto context = gateway.context();
    const std::stop_callback cancel(stop, [&context] { context->TryCancel(); });
    auto stream = gateway.stub<v1::MarketDataService::Stub>().StreamMarketData(context.get(), request);
    for (v1::StreamMarketDataResponse response; stream->Read(&response) && !stop.stop_requested();) {
      for (const auto& update : response.updates()) {
        if (update.has_quote()) maker.on_quote(update.quote());
      }
    }
    context->TryCancel();
    const Error error = Error::of(stream->Finish());
    if (stop.stop_requested()) return;
    if (is_final(error.code)) throw error;
    say() << "the market data ended (" << error.what() << "); again in a second\n";
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
}

void follow_fills(FillStream& fills, MarketMaker& maker) {
  for (const auto& item : fills) {
    if (const auto* fill = std::get_if<Fill>(&item)) {
      const Decimal position = maker.on_fill(fill->fill);
      say() << v1::Side_Name(fill->fill.side()) << " " << fill->fill.quantity() << " at " << fill->fill.price()
            << ", position " << position.text() << std::endl;
    }
  }
}

std::string setting(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : value;
}

void tell(const std::exception_ptr& problem) {
  try {
    std::rethrow_exception(problem);
  } catch (const std::exception& error) {
    std::osyncstream(std::cerr) << error.what() << "\n";
  }
}

void run(std::map<std::string, std::string> arguments, const sigset_t& signals) {
  const std::string account_id = arguments["--account"], symbol = arguments["--symbol"];
  Options options;
  options.token = setting("BROKERGATE_TOKEN", "");
  const Gateway gateway(arguments["--address"], options);
  const double seconds = std::stod(arguments["--seconds"]), interval_s = std::stod(arguments["--interval"]);
  MarketMaker maker(gateway, account_id, symbol, arguments["--quantity"], std::stol(arguments["--ticks"]),
                    std::stol(arguments["--most"]));

  FillStream fills = gateway.fills({.account_ids = {account_id}, .start = After{maker.begin()}, .symbols = {symbol}});
  std::stop_source stop;
  std::mutex mutex;
  std::exception_ptr problem;
  std::jthread following([&] {
    try {
      follow_fills(fills, maker);
    } catch (...) {
      const std::lock_guard lock(mutex);
      problem = std::current_exception();
      stop.request_stop();
    }
  });
  std::jthread waiting([&](std::stop_token over) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    const timespec moment{0, 100'000'000};
    while (!over.stop_requested() && sigtimedwait(&signals, nullptr, &moment) < 0) {
      if (seconds > 0 && std::chrono::steady_clock::now() >= end) break;
    }
    stop.request_stop();
  });
  try {
    follow_market(gateway, maker, account_id, symbol, interval_s, stop.get_token());
  } catch (...) {
    const std::lock_guard lock(mutex);
    problem = std::current_exception();
  }
  std::exception_ptr left;
  try {
    maker.flatten();
  } catch (...) {
    left = std::current_exception();
  }
  fills.close();
  following.join();
  say() << "placed " << maker.placed() << ", replaced " << maker.replaced() << ", fills " << maker.fills() << "\n";
  if (!left) say() << "flat\n";
  if (left && problem) tell(problem);
  if (left || problem) std::rethrow_exception(left ? left : problem);
}

}  // namespace

int main(int count, char** values) {
  std::map<std::string, std::string> arguments = {{"--address", "127.0.0.1:50051"},
                                                  {"--account", "paper"},
                                                  {"--symbol", "BTC/USDT"},
                                                  {"--quantity", "0.01"},
                                                  {"--ticks", "20"},
                                                  {"--most", "5"},
                                                  {"--interval", "0.2"},
                                                  {"--seconds", "0"}};
  for (int i = 1; i < count; i += 2) {
    if (i + 1 == count || !arguments.contains(values[i])) {
      std::cerr << "no option " << values[i] << ", or no value for it\n";
      return 2;
    }
    arguments[values[i]] = values[i + 1];
  }
  // Before any thread is begun, so that only the one that waits for it gets Ctrl+C.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  try {
    run(arguments, signals);
  } catch (const std::exception& problem) {
    std::cerr << problem.what() << "\n";
    return 1;
  }
}
