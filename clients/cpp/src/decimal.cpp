#include "brokergate/decimal.hpp"

#include <algorithm>
#include <stdexcept>

namespace brokergate {
namespace {

__extension__ using Units = __int128;  // of 10^-18: every value of the contract is below 10^38, which fits

constexpr int kPlaces = 18;
constexpr int kWholeDigits = 20;

constexpr Units power_of_ten(int exponent) {
  Units power = 1;
  for (; exponent > 0; --exponent) power *= 10;
  return power;
}

constexpr Units kLimit = power_of_ten(kWholeDigits + kPlaces);

bool is_digit(char c) { return c >= '0' && c <= '9'; }

Units units_of(std::string_view text) {
  const bool negative = text.front() == '-';
  Units units = 0;
  int places = -1;
  for (const char c : text.substr(negative ? 1 : 0)) {
    if (c == '.') {
      places = 0;
    } else {
      units = units * 10 + (c - '0');
      if (places >= 0) ++places;
    }
  }
  units *= power_of_ten(kPlaces - std::max(places, 0));
  return negative ? -units : units;
}

Decimal decimal_of(Units units) {
  const bool negative = units < 0;
  if (negative) units = -units;
  if (units >= kLimit) throw std::overflow_error("the result has more than 20 digits before the point");
  std::string digits;
  for (; units != 0; units /= 10) digits.push_back(static_cast<char>('0' + static_cast<int>(units % 10)));
  if (digits.size() <= kPlaces) digits.resize(kPlaces + 1, '0');
  std::reverse(digits.begin(), digits.end());
  digits.insert(digits.size() - kPlaces, 1, '.');
  digits.erase(digits.find_last_not_of('0') + 1);
  if (digits.back() == '.') digits.pop_back();
  return Decimal(negative ? "-" + digits : digits);
}

}  // namespace

Decimal::Decimal(std::string_view text) : text_(text) {
  if (!is_valid(text)) {
    throw std::invalid_argument(
        "'" + std::string(text.substr(0, 64)) +
        "' is not a decimal in plain notation with at most 20 digits before the point and 18 after");
  }
}

bool Decimal::is_valid(std::string_view text) noexcept {
  if (!text.empty() && text.front() == '-') text.remove_prefix(1);
  const auto whole = std::find_if_not(text.begin(), text.end(), is_digit);
  const auto whole_digits = whole - text.begin();
  if (whole_digits < 1 || whole_digits > kWholeDigits) return false;
  if (whole == text.end()) return true;
  const auto places = text.end() - whole - 1;
  return *whole == '.' && places >= 1 && places <= kPlaces && std::all_of(whole + 1, text.end(), is_digit);
}

int Decimal::sign() const noexcept {
  const Units units = units_of(text_);
  return (units > 0) - (units < 0);
}

Decimal Decimal::operator-() const { return decimal_of(-units_of(text_)); }

Decimal operator+(const Decimal& left, const Decimal& right) {
  Units sum = 0;
  if (__builtin_add_overflow(units_of(left.text_), units_of(right.text_), &sum)) sum = kLimit;
  return decimal_of(sum);
}

Decimal operator-(const Decimal& left, const Decimal& right) {
  Units difference = 0;
  if (__builtin_sub_overflow(units_of(left.text_), units_of(right.text_), &difference)) difference = kLimit;
  return decimal_of(difference);
}

Decimal operator*(const Decimal& left, std::int64_t right) {
  Units product = 0;
  if (__builtin_mul_overflow(units_of(left.text_), static_cast<Units>(right), &product)) product = kLimit;
  return decimal_of(product);
}

std::strong_ordering operator<=>(const Decimal& left, const Decimal& right) noexcept {
  const Units a = units_of(left.text_), b = units_of(right.text_);
  return a < b ? std::strong_ordering::less : a > b ? std::strong_ordering::greater : std::strong_ordering::equal;
}

}  // namespace brokergate
