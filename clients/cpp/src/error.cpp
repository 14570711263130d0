#include "brokergate/error.hpp"

#include <string_view>

#include "status_details.pb.h"

namespace brokergate {
namespace {

constexpr std::string_view kPrefix = "ERROR_REASON_";

std::string name_of(v1::ErrorReason reason) {
  if (reason == v1::ERROR_REASON_UNSPECIFIED) return "";
  const std::string& name = v1::ErrorReason_Name(reason);
  return name.empty() ? std::to_string(static_cast<int>(reason)) : name.substr(kPrefix.size());
}

}  // namespace

Error::Error(grpc::StatusCode code, std::string message, v1::ErrorReason reason)
    : std::runtime_error(message),
      code(code),
      reason(reason),
      reason_name(name_of(reason)),
      message(std::move(message)) {
  describe();
}

Error Error::of(const grpc::Status& status) {
  Error error(status.error_code(), status.error_message().empty() ? "no message" : status.error_message());
  details::Status parsed;
  if (!parsed.ParseFromString(status.error_details())) return error;
  for (const auto& detail : parsed.details()) {
    const std::string& url = detail.type_url();
    const std::string type = url.substr(url.rfind('/') + 1);
    details::ErrorInfo info;
    details::BadRequest bad;
    details::RetryInfo retry;
    if (type == "google.rpc.ErrorInfo" && info.ParseFromString(detail.value()) && info.domain() == "brokergate") {
      error.reason_name = info.reason();
      if (!v1::ErrorReason_Parse(std::string(kPrefix) + info.reason(), &error.reason)) {
        error.reason = v1::ERROR_REASON_UNSPECIFIED;
      }
      error.metadata = {info.metadata().begin(), info.metadata().end()};
    } else if (type == "google.rpc.BadRequest" && bad.ParseFromString(detail.value())) {
      for (const auto& violation : bad.field_violations()) {
        error.violations.push_back({violation.field(), violation.description()});
      }
    } else if (type == "google.rpc.RetryInfo" && retry.ParseFromString(detail.value())) {
      error.retry_after = std::chrono::seconds(retry.retry_delay().seconds()) +
                          std::chrono::milliseconds(retry.retry_delay().nanos() / 1'000'000);
    }
  }
  error.describe();
  return error;
}

Error Error::of(const v1::Error& item) {
  Error error(static_cast<grpc::StatusCode>(item.code()), item.message(), item.reason());
  for (const auto& violation : item.field_violations()) {
    error.violations.push_back({violation.field(), violation.description()});
  }
  error.metadata = {item.metadata().begin(), item.metadata().end()};
  return error;
}

const char* Error::what() const noexcept { return text_.c_str(); }

void Error::describe() {
  text_ = (reason_name.empty() ? code_name() : reason_name) + (": " + message);
  if (outcome_unknown) text_ += " (the outcome is unknown; repeat with id '" + id + "' to learn it)";
}

const char* Error::code_name() const noexcept {
  static constexpr const char* kNames[] = {
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED"};
  const auto index = static_cast<std::size_t>(code);
  return index < std::size(kNames) ? kNames[index] : "UNKNOWN";
}

bool Error::answer_was_lost() const noexcept {
  if (code == grpc::DEADLINE_EXCEEDED || reason == v1::ERROR_REASON_OUTCOME_UNKNOWN) return true;
  // What gRPC itself says of a connection that broke in the middle.
  const bool lost =
      code == grpc::UNAVAILABLE || code == grpc::CANCELLED || code == grpc::INTERNAL || code == grpc::UNKNOWN;
  return lost && reason_name.empty();
}

bool Error::invites_repeat() const noexcept {
  // A deadline has passed for good.
  return code == grpc::UNAVAILABLE || (code != grpc::DEADLINE_EXCEEDED && answer_was_lost());
}

}  // namespace brokergate
