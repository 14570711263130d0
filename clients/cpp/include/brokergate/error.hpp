#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <grpcpp/support/status.h>

#include "brokergate/v1/error.pb.h"

namespace brokergate {

/// One field that is wrong: its path from the request (`order.limit_price`), and what is wrong with it.
struct FieldViolation {
  std::string field;
  std::string description;
};

/// A call or a stream failed. `what()` is for people and holds no secret.
struct Error : std::runtime_error {
  Error(grpc::StatusCode code, std::string message, v1::ErrorReason reason = v1::ERROR_REASON_UNSPECIFIED);

  /// The error of a call, with the details that the gateway sent.
  static Error of(const grpc::Status& status);
  /// The error of one item of an answer (a batch, an order entry stream).
  static Error of(const v1::Error& item);

  /// The text of all that is known; changes when the fields below do.
  const char* what() const noexcept override;
  /// Writes `what()` anew from the fields.
  void describe();
  /// gRPC's name of `code`: `INVALID_ARGUMENT`.
  const char* code_name() const noexcept;
  /// Whether the same call may succeed now or later: its answer was lost, or the gateway says UNAVAILABLE.
  bool invites_repeat() const noexcept;
  /// Whether the gateway may have done what was asked although this error came.
  bool answer_was_lost() const noexcept;

  grpc::StatusCode code;
  /// UNSPECIFIED where the error is not the gateway's own, or the gateway is newer than this client.
  v1::ErrorReason reason;
  /// The reason without its prefix (`ORDER_NOT_FOUND`), also one that this client does not know; empty where there is
  /// none.
  std::string reason_name;
  std::string message;
  std::vector<FieldViolation> violations;
  /// Facts for programs.
  std::map<std::string, std::string> metadata;
  /// The gateway's word on when to try again.
  std::optional<std::chrono::milliseconds> retry_after;
  /// Of a call that changes something: the id under which it may be repeated safely (for an order the client_order_id,
  /// for a batch that of its first order).
  std::string id;
  /// Whether it may have been carried out: repeat it with the same id to learn it.
  bool outcome_unknown = false;

 private:
  std::string text_;
};

}  // namespace brokergate
