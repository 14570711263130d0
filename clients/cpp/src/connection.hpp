#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include <grpcpp/grpcpp.h>

#include "brokergate/gateway.hpp"

namespace brokergate {

/// The channel, and what goes along with each call.
struct Connection {
  Connection(const std::string& address, const Options& options);

  void prepare(grpc::ClientContext& context) const;

  std::shared_ptr<grpc::Channel> channel;
  std::chrono::milliseconds timeout;

 private:
  std::string authorization_;
};

/// Growing pauses: each is drawn between nothing and the whole of a span that doubles from 0.1 s to 2 s, so that the
/// clients of a gateway that comes back do not knock all at once.
class Backoff {
 public:
  std::chrono::milliseconds next(std::optional<std::chrono::milliseconds> at_least);
  void reset() { span_ = std::chrono::milliseconds(0); }

 private:
  std::chrono::milliseconds span_{0};
};

/// Waits, and returns early with false when told to stop.
bool pause(std::stop_token stop, std::chrono::steady_clock::time_point until);

/// Gives the request the ids that it needs and has not, and returns the one that a repeat goes by; "" for a read.
std::string name(google::protobuf::Message& request);

/// The error of what is refused before anything is sent: INVALID_ARGUMENT, INVALID_FIELD.
Error refused(std::vector<FieldViolation> violations);

/// Throws `Error` where a decimal of the request is none.
void check_decimals(const google::protobuf::Message& request);

}  // namespace brokergate
