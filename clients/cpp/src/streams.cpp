#include "brokergate/streams.hpp"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <stop_token>
#include <type_traits>
#include <utility>

#include <google/protobuf/util/time_util.h>

#include "brokergate/error.hpp"
#include "connection.hpp"

namespace brokergate {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

/// So many heartbeats in a row that did not come mean that the peer is gone, whatever TCP says.
constexpr int kMissedHeartbeats = 3;
/// `StreamOpened` is sent at once; a gateway that takes longer is asked again.
constexpr milliseconds kOpenTimeout = std::chrono::seconds(10);

using FillsReactor = grpc::ClientReadReactor<v1::StreamFillsResponse>;
using EventsReactor = grpc::ClientReadReactor<v1::StreamEventsResponse>;

void start(v1::EventService::Stub& stub, grpc::ClientContext& context, const v1::StreamFillsRequest& request,
           FillsReactor& reactor) {
  stub.async()->StreamFills(&context, &request, &reactor);
}

void start(v1::EventService::Stub& stub, grpc::ClientContext& context, const v1::StreamEventsRequest& request,
           EventsReactor& reactor) {
  stub.async()->StreamEvents(&context, &request, &reactor);
}

enum class Read { kMessage, kEnd, kTimeout };

/// One call of a stream, which reads one message ahead.
template <class Request, class Response>
class Wire final : private grpc::ClientReadReactor<Response> {
 public:
  Wire(const Connection& connection, Request request, std::stop_token stop)
      : stub_(connection.channel), request_(std::move(request)), cancel_(std::move(stop), Cancel{&context_}) {
    connection.prepare(context_);
    start(stub_, context_, request_, *this);
    // Reads are started from outside of gRPC's callbacks.
    this->AddHold();
    this->StartRead(&ahead_);
    this->StartCall();
  }

  ~Wire() {
    context_.TryCancel();
    std::unique_lock lock(mutex_);
    given_up_ = true;
    if (std::exchange(has_message_, false)) this->RemoveHold();
    changed_.wait(lock, [this] { return done_; });
  }

  /// Waits for a message or the end; no longer than `until`, nor than `silence` since the one before was taken.
  Read read(Response& message, Clock::time_point until, milliseconds silence) {
    std::unique_lock lock(mutex_);
    const auto is_ready = [this] { return has_message_ || done_; };
    if (!changed_.wait_until(lock, std::min(until, asked_ + silence), is_ready)) return Read::kTimeout;
    if (!has_message_) return Read::kEnd;
    message.Swap(&ahead_);
    has_message_ = false;
    asked_ = Clock::now();
    lock.unlock();
    this->StartRead(&ahead_);
    return Read::kMessage;
  }

  bool is_silent(milliseconds silence) {
    const std::lock_guard lock(mutex_);
    return !has_message_ && !done_ && Clock::now() - asked_ >= silence;
  }

  /// Of the end.
  const grpc::Status& status() const { return status_; }

 private:
  struct Cancel {
    grpc::ClientContext* context;
    void operator()() const { context->TryCancel(); }
  };

  void OnReadDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    has_message_ = ok && !given_up_;
    if (!has_message_) this->RemoveHold();
    changed_.notify_all();
  }

  void OnDone(const grpc::Status& status) override {
    const std::lock_guard lock(mutex_);
    status_ = status;
    done_ = true;
    changed_.notify_all();
  }

  grpc::ClientContext context_;
  v1::EventService::Stub stub_;
  const Request request_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Response ahead_;
  bool has_message_ = false, given_up_ = false, done_ = false;
  grpc::Status status_;
  Clock::time_point asked_ = Clock::now();
  std::stop_callback<Cancel> cancel_;
};

Error closing_error(const v1::StreamClosing& closing) {
  const auto code = closing.reason() == v1::ERROR_REASON_TOKEN_REVOKED   ? grpc::UNAUTHENTICATED
                    : closing.reason() == v1::ERROR_REASON_SLOW_CONSUMER ? grpc::RESOURCE_EXHAUSTED
                                                                         : grpc::UNAVAILABLE;
  const std::string text = closing.message().empty() ? "the gateway ended the stream" : closing.message();
  return Error(code, text, closing.reason());
}

}  // namespace

template <class Request, class Response, class... Items>
struct Stream<Request, Response, Items...>::State {
  static constexpr bool kIsFills = std::is_same_v<Response, v1::StreamFillsResponse>;

  State(std::shared_ptr<const Connection> with, StreamOptions wanted)
      : connection(std::move(with)), options(std::move(wanted)) {
    if (const auto* after = std::get_if<After>(&options.start)) cursor = after->cursor;
    const auto* position = std::get_if<v1::StartPosition>(&options.start);
    awaits_snapshot = position != nullptr && *position == v1::START_POSITION_SNAPSHOT;
    open();
  }

  void open() {
    wire = std::make_unique<Wire<Request, Response>>(*connection, request(), stop.get_token());
    silence = kOpenTimeout;
  }

  Request request() const {
    Request request;
    for (const auto& account_id : options.account_ids) request.add_account_ids(account_id);
    if constexpr (kIsFills) {
      for (const auto& symbol : options.symbols) request.add_symbols(symbol);
    } else {
      for (const auto kind : options.kinds) request.add_kinds(kind);
    }
    if (!cursor.empty()) {
      request.set_after_cursor(cursor);
    } else if (const auto* time = std::get_if<std::chrono::system_clock::time_point>(&options.start)) {
      const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(time->time_since_epoch()).count();
      *request.mutable_start_time() = google::protobuf::util::TimeUtil::NanosecondsToTimestamp(ns);
    } else if (const auto* position = std::get_if<v1::StartPosition>(&options.start)) {
      request.set_start_position(*position);
    }
    *request.mutable_heartbeat_interval() =
        google::protobuf::util::TimeUtil::MillisecondsToDuration(options.heartbeat.count());
    return request;
  }

  std::optional<Item> next(std::optional<milliseconds> timeout) {
    const auto until = timeout ? Clock::now() + *timeout : Clock::time_point::max();
    while (!stop.stop_requested()) {
      if (auto item = take()) return item;
      if (wire == nullptr) {
        if (!pause(stop.get_token(), std::min(until, reopen_at)) || Clock::now() < reopen_at) return std::nullopt;
        open();
      }
      switch (wire->read(message, until, silence)) {
        case Read::kMessage:
          silence = kMissedHeartbeats * options.heartbeat;
          if (auto item = told()) return item;
          break;
        case Read::kTimeout:
          if (!wire->is_silent(silence)) return std::nullopt;
          lost(Error(grpc::UNAVAILABLE, "nothing came from the gateway, not even a heartbeat"));
          break;
        case Read::kEnd:
          if (stop.stop_requested()) break;
          lost(wire->status().ok() ? Error(grpc::UNAVAILABLE, "the gateway ended the stream")
                                   : Error::of(wire->status()));
      }
    }
    wire.reset();
    return std::nullopt;
  }

  /// What a message says, where that is no event.
  std::optional<Item> told() {
    if (message.has_opened()) {
      if (epoch != message.opened().epoch()) seen.clear();  // sequences of another epoch say nothing about these
      epoch = message.opened().epoch();
      pages.Clear();  // a snapshot that was cut short begins anew
    } else {
      backoff.reset();
    }
    if (message.has_closing()) {
      const Error error = closing_error(message.closing());
      passed();
      lost(error);
    } else if (message.has_batch()) {
      event_index = 0;
      event_count = message.batch().events_size();
    } else if (message.has_caught_up()) {
      passed();
      return CaughtUp{cursor};
    } else {
      if constexpr (!kIsFills) {
        if (message.has_snapshot()) {
          pages.MergeFrom(message.snapshot());
          if (!message.snapshot().last()) return std::nullopt;
          awaits_snapshot = false;
          passed();
          return Snapshot{std::exchange(pages, {}), cursor};
        }
      }
      passed();
    }
    return std::nullopt;
  }

  /// The next event of the batch that was not given before.
  ///
  /// The cursor of an event speaks of its account alone. Where the stream may hold several, the safe one between two
  /// events of a batch is that of the message before: resuming there repeats up to a batch and loses nothing.
  std::optional<Item> take() {
    while (event_index < event_count) {
      auto& event = *message.mutable_batch()->mutable_events(event_index);
      const bool is_last = ++event_index == event_count;
      auto& highest = seen[event.account_id()];
      const bool is_new = event.sequence() > highest;
      if (is_new) highest = event.sequence();
      if (is_last) {
        passed();
      } else if (is_new && options.account_ids.size() == 1) {
        cursor = event.cursor();
      }
      if (!is_new) continue;
      if constexpr (kIsFills) {
        // Fees that came later belong to `events`; here they only move the cursor.
        if (!event.has_fill()) continue;
        return Fill{std::move(*event.mutable_fill()->mutable_fill()), std::move(*event.mutable_event_id()),
                    event.sequence(), cursor};
      } else {
        return Event{std::move(event), cursor};
      }
    }
    return std::nullopt;
  }

  void passed() {
    // Until the snapshot is whole no cursor is worth anything: resuming after one would leave the state out.
    if (!awaits_snapshot && !message.cursor().empty()) cursor = message.cursor();
  }

  void lost(const Error& error) {
    wire.reset();
    const bool crowded = error.reason == v1::ERROR_REASON_TOO_MANY_STREAMS && epoch.has_value();
    if (!crowded && error.reason != v1::ERROR_REASON_SLOW_CONSUMER && !error.invites_repeat()) throw error;
    reopen_at = Clock::now() + backoff.next(error.retry_after);
    ++reconnects;
  }

  std::shared_ptr<const Connection> connection;
  const StreamOptions options;
  std::stop_source stop;
  milliseconds silence{0};
  Backoff backoff;
  Clock::time_point reopen_at = Clock::time_point::min();
  std::string cursor;
  std::uint64_t reconnects = 0;
  bool awaits_snapshot = false;
  v1::Snapshot pages;
  std::optional<std::uint64_t> epoch;
  std::map<std::string, std::uint64_t> seen;
  Response message;
  int event_index = 0, event_count = 0;
  std::unique_ptr<Wire<Request, Response>> wire;
};

template <class Request, class Response, class... Items>
Stream<Request, Response, Items...>::Stream(std::shared_ptr<const Connection> connection, StreamOptions options)
    : state_(std::make_unique<State>(std::move(connection), std::move(options))) {}

template <class Request, class Response, class... Items>
Stream<Request, Response, Items...>::~Stream() = default;

template <class Request, class Response, class... Items>
Stream<Request, Response, Items...>::Stream(Stream&&) noexcept = default;

template <class Request, class Response, class... Items>
Stream<Request, Response, Items...>& Stream<Request, Response, Items...>::operator=(Stream&&) noexcept = default;

template <class Request, class Response, class... Items>
auto Stream<Request, Response, Items...>::next(std::optional<milliseconds> timeout) -> std::optional<Item> {
  return state_->next(timeout);
}

template <class Request, class Response, class... Items>
void Stream<Request, Response, Items...>::close() noexcept {
  state_->stop.request_stop();
}

template <class Request, class Response, class... Items>
const std::string& Stream<Request, Response, Items...>::cursor() const noexcept {
  return state_->cursor;
}

template <class Request, class Response, class... Items>
std::uint64_t Stream<Request, Response, Items...>::reconnects() const noexcept {
  return state_->reconnects;
}

template class Stream<v1::StreamFillsRequest, v1::StreamFillsResponse, Fill, CaughtUp>;
template class Stream<v1::StreamEventsRequest, v1::StreamEventsResponse, Event, CaughtUp, Snapshot>;

}  // namespace brokergate
