// A market maker on a paper account: quotes one order on each side of the market, moves them with it, follows its
// fills, and flattens on exit (Ctrl+C, or --seconds N).
//
//     market_maker --account paper --symbol BTC/USDT --seconds 60
//
// The gateway is at --address or BROKERGATE_ADDRESS (127.0.0.1:50051), the token in BROKERGATE_TOKEN. It closes the
// account's whole position in the symbol, also what was there before. An example of the client, not of how to earn
// money.

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <map>
#include <string>
#include <syncstream>
#include <thread>

#include "brokergate/gateway.hpp"

using namespace brokergate;

namespace {

/// One line, whole, also while the other thread prints.
std::osyncstream say() { return std::osyncstream(std::cout); }

bool is_working(const v1::Order& order) {
  return order.state() == v1::ORDER_STATE_NEW || order.state() == v1::ORDER_STATE_PARTIALLY_FILLED ||
         order.state() == v1::ORDER_STATE_PENDING_NEW;
}

class MarketMaker {
 public:
  MarketMaker(Gateway gateway, std::string account_id, std::string symbol, Decimal quantity)
      : gateway_(std::move(gateway)),
        account_id_(std::move(account_id)),
        symbol_(std::move(symbol)),
        quantity_(quantity) {}

  /// Joins the best price of either side.
  void on_quote(const v1::Quote& market) {
    if (market.has_bid_price()) quote(v1::SIDE_BUY, market.bid_price());
    if (market.has_ask_price()) quote(v1::SIDE_SELL, market.ask_price());
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
    say() << "flat\n";
  }

  std::uint64_t placed() const { return placed_; }
  std::uint64_t replaced() const { return replaced_; }
  std::uint64_t refused() const { return refused_; }

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
    v1::ListPositionsRequest held;
    held.set_account_id(account_id_);
    const auto standing = gateway_.call(&v1::PositionService::Stub::ListPositions, held);
    for (const auto& position : standing.positions()) {
      if (position.symbol() == symbol_) left += " position " + position.quantity();
    }
    return left;
  }

  void quote(v1::Side side, const Decimal& price) {
    const auto found = quotes_.find(side);
    if (found == quotes_.end()) return place(side, price);
    if (Decimal(found->second.spec().limit_price()) == price) return;
    v1::ReplaceOrderRequest changes;
    changes.set_expected_generation(found->second.generation());
    changes.set_limit_price(price.text());
    try {
      keep(side, gateway_.replace(account_id_, by_order_id(found->second.order_id()), changes));
      ++replaced_;
    } catch (const Error& error) {
      if (error.code != grpc::FAILED_PRECONDITION) throw;
      // It filled meanwhile, or the venue changed it: look, and quote anew with the next price.
      v1::GetOrderRequest request;
      request.set_account_id(account_id_);
      *request.mutable_order() = by_order_id(found->second.order_id());
      keep(side, gateway_.call(&v1::OrderService::Stub::GetOrder, request).order());
    }
  }

  void place(v1::Side side, const Decimal& price) {
    auto order = limit_order(symbol_, side, quantity_, price);
    order.set_post_only(true);
    keep(side, gateway_.place(account_id_, order).order());
    ++placed_;
  }

  void keep(v1::Side side, v1::Order order) {
    // It would take, or there is nothing to sell yet: the next price may be another matter.
    if (order.state() == v1::ORDER_STATE_REJECTED) ++refused_;
    if (is_working(order)) {
      quotes_[side] = std::move(order);
    } else {
      quotes_.erase(side);
    }
  }

  Gateway gateway_;
  const std::string account_id_, symbol_;
  const Decimal quantity_;
  std::map<v1::Side, v1::Order> quotes_;
  std::uint64_t placed_ = 0, replaced_ = 0, refused_ = 0;
};

/// Gives every quote to `maker`, over one stream after another, until told to stop.
void follow_market(const Gateway& gateway, MarketMaker& maker, const std::string& account_id, const std::string& symbol,
                   std::stop_token stop) {
  v1::StreamMarketDataRequest request;
  request.set_account_id(account_id);
  request.add_symbols(symbol);
  request.add_kinds(v1::MARKET_DATA_KIND_QUOTE);
  request.mutable_min_interval()->set_nanos(200'000'000);
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
    if (error.code != grpc::OK && !error.invites_repeat()) throw error;
    say() << "the market data ended (" << error.what() << "); again in a second\n";
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
}

void follow_fills(FillStream& fills) {
  for (const auto& item : fills) {
    if (const auto* fill = std::get_if<Fill>(&item)) {
      say() << "fill: " << v1::Side_Name(fill->fill.side()) << " " << fill->fill.quantity() << " at "
            << fill->fill.price() << std::endl;
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
  MarketMaker maker(gateway, account_id, symbol, arguments["--quantity"]);

  FillStream fills =
      gateway.fills({.account_ids = {account_id}, .start = After{gateway.cursor(account_id)}, .symbols = {symbol}});
  std::stop_source stop;
  std::exception_ptr problem;
  std::jthread following([&] {
    try {
      follow_fills(fills);
    } catch (...) {
      problem = std::current_exception();
      stop.request_stop();
    }
  });
  std::jthread waiting([&, seconds = std::stol(arguments["--seconds"])](std::stop_token over) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    const timespec moment{0, 100'000'000};
    while (!over.stop_requested() && sigtimedwait(&signals, nullptr, &moment) < 0) {
      if (seconds > 0 && std::chrono::steady_clock::now() >= end) break;
    }
    stop.request_stop();
  });
  try {
    follow_market(gateway, maker, account_id, symbol, stop.get_token());
  } catch (...) {
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
  say() << "placed " << maker.placed() << ", replaced " << maker.replaced() << ", refused " << maker.refused() << "\n";
  if (left && problem) tell(problem);
  if (left || problem) std::rethrow_exception(left ? left : problem);
}

}  // namespace

int main(int count, char** values) {
  std::map<std::string, std::string> arguments = {{"--address", setting("BROKERGATE_ADDRESS", "127.0.0.1:50051")},
                                                  {"--account", "paper"},
                                                  {"--symbol", "BTC/USDT"},
                                                  {"--quantity", "0.01"},
                                                  {"--seconds", "0"}};
  for (int i = 1; i + 1 < count; i += 2) arguments[values[i]] = values[i + 1];
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
