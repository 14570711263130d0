#include <set>
#include <sstream>
#include <thread>

#include <gtest/gtest.h>

#include "brokergate/gateway.hpp"
#include "connection.hpp"
#include "status_details.pb.h"

namespace brokergate {
namespace {

using std::chrono::milliseconds;

TEST(Decimal, KeepsItsTextAndComparesByValue) {
  EXPECT_EQ(Decimal("1.00").text(), "1.00");
  EXPECT_EQ(Decimal("1.00"), Decimal(1));
  EXPECT_EQ(Decimal("-0"), Decimal());
  EXPECT_LT(Decimal("-1"), Decimal("0.000000000000000001"));
  EXPECT_GT(Decimal("99999999999999999999.999999999999999999"), Decimal("99999999999999999999.999999999999999998"));
}

TEST(Decimal, TakesTheContractsNotationAlone) {
  for (const char* wrong : {"", "-", ".", "1.", ".1", "+1", "1e5", " 1", "1 ", "NaN", "1,0", "--1", "1.1.1", "0x1",
                            "123456789012345678901", "0.1234567890123456789", "١"}) {
    EXPECT_THROW(Decimal{wrong}, std::invalid_argument) << wrong;
  }
}

TEST(Decimal, CalculatesExactlyAndOverflowsAloud) {
  EXPECT_EQ((Decimal("0.1") + "0.2").text(), "0.3");
  EXPECT_EQ((Decimal("1") - "1.000000000000000001").text(), "-0.000000000000000001");
  EXPECT_EQ((Decimal("0.25") * -4).text(), "-1");
  EXPECT_EQ((-Decimal("5.50")).text(), "-5.5");
  EXPECT_EQ(Decimal("-3").sign(), -1);
  const Decimal largest("99999999999999999999.999999999999999999");
  EXPECT_THROW(largest + "0.000000000000000001", std::overflow_error);
  EXPECT_THROW(largest + largest, std::overflow_error);
  EXPECT_THROW(largest * INT64_MIN, std::overflow_error);
  EXPECT_EQ((largest - largest).text(), "0");
}

TEST(Ids, AreUniqueAndSortByTheirMaking) {
  std::string last;
  for (int i = 0; i < 100'000; ++i) {
    const std::string id = new_id();
    ASSERT_EQ(id.size(), 26u);
    ASSERT_EQ(id.find_first_not_of("0123456789ABCDEFGHJKMNPQRSTVWXYZ"), std::string::npos);
    ASSERT_LT(last, id);
    last = id;
  }
}

TEST(Ids, AreGivenWhereTheyAreMissingAndKeptWhereTheyAreNot) {
  v1::PlaceOrderRequest place;
  place.mutable_order()->mutable_stop_loss();
  const std::string id = name(place);
  EXPECT_EQ(place.client_order_id(), id);
  EXPECT_EQ(place.order().stop_loss().client_order_id(), id + "-sl");
  EXPECT_FALSE(place.order().has_take_profit());
  EXPECT_EQ(name(place), id);
  v1::BatchPlaceOrdersRequest batch;
  batch.add_orders();
  batch.add_orders()->set_client_order_id("mine");
  const std::string first = name(batch);
  EXPECT_EQ(first.size(), 26u);
  EXPECT_EQ(batch.orders(0).client_order_id(), first);
  EXPECT_EQ(batch.orders(1).client_order_id(), "mine");
  v1::CancelOrderRequest cancel;
  const std::string request_id = name(cancel);
  EXPECT_EQ(request_id.size(), 26u);
  EXPECT_EQ(cancel.request_id(), request_id);
  v1::ListOrdersRequest read;
  EXPECT_EQ(name(read), "");
}

TEST(Requests, AWrongDecimalIsNamedByItsPath) {
  v1::BatchPlaceOrdersRequest batch;
  batch.add_orders()->mutable_order()->set_quantity("1");
  batch.add_orders()->mutable_order()->set_limit_price("1e5");
  try {
    check_decimals(batch);
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, grpc::INVALID_ARGUMENT);
    EXPECT_EQ(error.reason, v1::ERROR_REASON_INVALID_FIELD);
    ASSERT_EQ(error.violations.size(), 1u);
    EXPECT_EQ(error.violations[0].field, "orders[1].order.limit_price");
  }
}

grpc::Status refused(grpc::StatusCode code, const google::protobuf::Message& detail, const std::string& type) {
  details::Status status;
  auto& unknown = *status.add_details();
  unknown.set_type_url("type.googleapis.com/somebody.Else");
  unknown.set_value("\xff\xff");
  auto& any = *status.add_details();
  any.set_type_url("type.googleapis.com/google.rpc." + type);
  any.set_value(detail.SerializeAsString());
  return grpc::Status(code, "no", status.SerializeAsString());
}

TEST(Errors, CarryReasonsAlsoThoseThatAreNotKnown) {
  details::ErrorInfo info;
  info.set_domain("brokergate");
  info.set_reason("PRICE_OFF_TICK");
  (*info.mutable_metadata())["tick"] = "0.01";
  Error error = Error::of(refused(grpc::INVALID_ARGUMENT, info, "ErrorInfo"));
  EXPECT_EQ(error.reason, v1::ERROR_REASON_PRICE_OFF_TICK);
  EXPECT_EQ(error.metadata.at("tick"), "0.01");
  EXPECT_STREQ(error.what(), "PRICE_OFF_TICK: no");
  info.set_reason("OF_TOMORROW");
  error = Error::of(refused(grpc::INVALID_ARGUMENT, info, "ErrorInfo"));
  EXPECT_EQ(error.reason, v1::ERROR_REASON_UNSPECIFIED);
  EXPECT_EQ(error.reason_name, "OF_TOMORROW");
  v1::Error item;
  item.set_reason(static_cast<v1::ErrorReason>(9999));
  EXPECT_EQ(Error::of(item).reason_name, "9999");
}

TEST(Errors, OfGarbageAreErrorsAllTheSame) {
  const Error error = Error::of(grpc::Status(grpc::UNAVAILABLE, "away", "\xff\x01garbage"));
  EXPECT_EQ(error.reason_name, "");
  EXPECT_TRUE(error.invites_repeat());
}

TEST(Errors, SayWhenTheAnswerWasLost) {
  EXPECT_TRUE(Error(grpc::INTERNAL, "rst").answer_was_lost());
  EXPECT_FALSE(Error(grpc::INTERNAL, "bug", v1::ERROR_REASON_INTERNAL).answer_was_lost());
  EXPECT_FALSE(Error(grpc::UNAVAILABLE, "away", v1::ERROR_REASON_BROKER_UNAVAILABLE).answer_was_lost());
  EXPECT_TRUE(Error(grpc::UNAVAILABLE, "away", v1::ERROR_REASON_BROKER_UNAVAILABLE).invites_repeat());
  EXPECT_FALSE(Error(grpc::NOT_FOUND, "no").invites_repeat());
}

TEST(Tokens, LeaveThisMachineEncryptedAlone) {
  Options options;
  options.token = "s3cr3t-token";
  for (const char* away :
       {"10.0.0.1:1", "gateway:1", "[2001:db8::1]:1", "dns:///gateway:1", "ipv4:10.0.0.1:1", "0.0.0.0:1"}) {
    EXPECT_THROW(Gateway(away, options), Error) << away;
  }
  for (const char* here :
       {"127.0.0.1:1", "localhost:1", "[::1]:1", "unix:/tmp/x", "dns:///localhost:1", "ipv6:[::1]:1"}) {
    EXPECT_NO_THROW(Gateway(here, options)) << here;
  }
}

TEST(Tokens, AreNotPrinted) {
  std::ostringstream text;
  text << Token("s3cr3t-token");
  EXPECT_EQ(text.str().find("s3cr3t"), std::string::npos);
  try {
    const Token wrong("s3cr3t token");
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find("s3cr3t"), std::string::npos);
  }
}

TEST(Backoff, GrowsToItsBoundAndWaitsAsLongAsItIsTold) {
  Backoff backoff;
  milliseconds longest{0};
  for (int i = 0; i < 1000; ++i) longest = std::max(longest, backoff.next({}));
  EXPECT_GT(longest, milliseconds(1000));
  EXPECT_LE(longest, milliseconds(2000));
  backoff.reset();
  EXPECT_LE(backoff.next({}), milliseconds(100));
  EXPECT_EQ(backoff.next(milliseconds(5000)), milliseconds(5000));
}

TEST(Gateway, ThatIsDownIsAnErrorInTime) {
  const Gateway gateway("127.0.0.1:1");
  try {
    gateway.place("paper", limit_order("BTC/USDT", v1::SIDE_BUY, "1", "1"), "mine",
                  {.timeout = milliseconds(300), .stop = {}});
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, grpc::UNAVAILABLE);
    EXPECT_EQ(error.id, "mine");
    EXPECT_TRUE(error.outcome_unknown);
  }
}

TEST(Gateway, ThatIsDownIsGivenUpWhenTheCallerWantsTo) {
  const Gateway gateway("127.0.0.1:1");
  std::stop_source stop;
  std::jthread caller([&] { EXPECT_THROW(gateway.cursor("paper", {.timeout = {}, .stop = stop.get_token()}), Error); });
  stop.request_stop();
}

TEST(Streams, WaitForAGatewayThatIsDownUntilTheyAreClosed) {
  const Gateway gateway("127.0.0.1:1");
  FillStream fills = gateway.fills();
  EXPECT_FALSE(fills.next(milliseconds(200)).has_value());
  std::jthread reader([&] { EXPECT_FALSE(fills.next().has_value()); });
  fills.close();
}

}  // namespace
}  // namespace brokergate
