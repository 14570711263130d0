#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace brokergate {

/// An exact decimal, kept as the text of the contract: `-?[0-9]{1,20}(\.[0-9]{1,18})?`, plain notation.
///
/// The text stays as it was given ("1.00" prints as "1.00"); comparison is by value (1.00 == 1). It has what quoting
/// and booking need: sums, differences, whole multiples. For more, hand `text()` to the decimal library of your choice.
class Decimal {
 public:
  /// Zero.
  Decimal() : text_("0") {}
  /// Throws `std::invalid_argument` for anything that is not the contract's notation.
  Decimal(std::string_view text);
  Decimal(const std::string& text) : Decimal(std::string_view(text)) {}
  Decimal(const char* text) : Decimal(std::string_view(text)) {}
  /// A whole number.
  template <class Integer, std::enable_if_t<std::is_integral_v<Integer>, int> = 0>
  Decimal(Integer number) : text_(std::to_string(number)) {}
  /// 0.1 has no exact double: give "0.1".
  Decimal(double) = delete;
  Decimal(float) = delete;
  Decimal(long double) = delete;

  /// Whether `text` is the contract's notation.
  static bool is_valid(std::string_view text) noexcept;

  const std::string& text() const noexcept { return text_; }
  /// -1, 0 or 1.
  int sign() const noexcept;

  Decimal operator-() const;
  /// These throw `std::overflow_error` where the result has more than 20 digits before the point.
  friend Decimal operator+(const Decimal& left, const Decimal& right);
  friend Decimal operator-(const Decimal& left, const Decimal& right);
  friend Decimal operator*(const Decimal& left, std::int64_t right);
  Decimal& operator+=(const Decimal& other) { return *this = *this + other; }
  Decimal& operator-=(const Decimal& other) { return *this = *this - other; }

  friend bool operator==(const Decimal& left, const Decimal& right) noexcept { return (left <=> right) == 0; }
  friend std::strong_ordering operator<=>(const Decimal& left, const Decimal& right) noexcept;

 private:
  std::string text_;
};

}  // namespace brokergate
