#pragma once

#include <chrono>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "brokergate/v1/event.pb.h"

namespace brokergate {

struct Connection;

/// Where a stream starts: after a cursor, at the first event of a time, or at a named position.
struct After {
  std::string cursor;
};
using Start = std::variant<v1::StartPosition, After, std::chrono::system_clock::time_point>;

struct StreamOptions {
  /// All that the caller may see where empty. Of one account alone every event has a cursor to keep; of several the
  /// last of a batch.
  std::vector<std::string> account_ids;
  Start start = v1::START_POSITION_LIVE;
  /// Only of these: of `fills`.
  std::vector<std::string> symbols;
  /// Only these: of `events`.
  std::vector<v1::EventKind> kinds;
  /// 1 s to 60 s; three that do not come mean that the peer is gone.
  std::chrono::milliseconds heartbeat = std::chrono::seconds(10);
};

/// Everything that was journalled before the stream was opened has been given; comes again after each new connection.
struct CaughtUp {
  std::string cursor;
};

/// The accounts as they stood at `cursor`: of `events` from START_POSITION_SNAPSHOT.
struct Snapshot {
  v1::Snapshot state;
  std::string cursor;
};

/// An execution, and the cursor to keep once it has been dealt with.
struct Fill {
  v1::Fill fill;
  std::string event_id;
  std::uint64_t sequence = 0;
  std::string cursor;
};

/// An entry of the journal, and the cursor to keep once it has been dealt with.
struct Event {
  v1::Event event;
  std::string cursor;
};

/// What the two streams share: each is opened at once, resumes by its cursor for ever, and gives every event once.
///
/// `next` throws `Error` for what no new connection can mend: CURSOR_EXPIRED, CURSOR_EPOCH, a bad token, a wrong
/// request. It reads one message ahead: what is not read waits at the gateway. One thread reads; any may `close`.
template <class Request, class Response, class... Items>
class Stream {
 public:
  using Item = std::variant<Items...>;

  Stream(std::shared_ptr<const Connection> connection, StreamOptions options);
  ~Stream();
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;

  /// The next item; waits for it. Nothing after `close`, and when `timeout` is over: then ask again.
  std::optional<Item> next(std::optional<std::chrono::milliseconds> timeout = {});
  /// Ends it, also while another thread waits in `next`.
  void close() noexcept;

  /// Resumes after all that was given so far; moves on also while nothing passes the filter.
  const std::string& cursor() const noexcept;
  /// Connections after the first.
  std::uint64_t reconnects() const noexcept;

  /// For `for (auto& item : stream)`; ends after `close`.
  struct Iterator {
    using value_type = Item;
    using difference_type = std::ptrdiff_t;
    Item& operator*() { return *item; }
    Iterator& operator++() {
      item = stream->next();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return !item; }

    Stream* stream;
    std::optional<Item> item;
  };
  Iterator begin() { return {this, next()}; }
  std::default_sentinel_t end() const { return {}; }

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Executions, and between them when they are live. A broker may correct one or take it back: its `kind` says so.
using FillStream = Stream<v1::StreamFillsRequest, v1::StreamFillsResponse, Fill, CaughtUp>;
/// The journal's entries, between them when they are live, and first the state where it was asked for.
using EventStream = Stream<v1::StreamEventsRequest, v1::StreamEventsResponse, Event, CaughtUp, Snapshot>;

extern template class Stream<v1::StreamFillsRequest, v1::StreamFillsResponse, Fill, CaughtUp>;
extern template class Stream<v1::StreamEventsRequest, v1::StreamEventsResponse, Event, CaughtUp, Snapshot>;

}  // namespace brokergate
