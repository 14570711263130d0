//! Exact numbers: what goes between Rust and the contract's `-?[0-9]{1,20}(\.[0-9]{1,18})?` without losing a digit.

use std::str::FromStr as _;

use bigdecimal::BigDecimal;

use crate::{Error, Result};

const WHOLE_DIGITS: usize = 20;
const PLACES: usize = 18;

/// What is taken for a decimal: a [`BigDecimal`], text in plain notation, or an integer. A float is not: 0.1 has no
/// exact one.
#[derive(Clone, Debug, PartialEq)]
pub enum Exactly {
    /// A number.
    Number(BigDecimal),
    /// A number as text, which is looked at when it is sent.
    Text(String),
}

impl From<BigDecimal> for Exactly {
    fn from(number: BigDecimal) -> Self {
        Self::Number(number)
    }
}

impl From<&BigDecimal> for Exactly {
    fn from(number: &BigDecimal) -> Self {
        Self::Number(number.clone())
    }
}

impl From<&str> for Exactly {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Exactly {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Exactly {
    fn from(number: i64) -> Self {
        Self::Number(number.into())
    }
}

impl Exactly {
    /// As the contract writes it. An [`Error`] (INVALID_ARGUMENT) that names `field` where it does not fit.
    pub fn text(&self, field: &str) -> Result<String> {
        match self {
            Self::Number(number) => decimal_text(number, field),
            Self::Text(text) if is_decimal(text) => Ok(text.clone()),
            Self::Text(text) => Err(refused(text, field)),
        }
    }
}

/// The number that `text` of the contract says. An [`Error`] (INVALID_ARGUMENT) that names `field` for other text.
pub fn decimal(text: &str, field: &str) -> Result<BigDecimal> {
    if is_decimal(text) {
        BigDecimal::from_str(text).map_err(|_| refused(text, field))
    } else {
        Err(refused(text, field))
    }
}

/// `number` as the contract writes it. An [`Error`] (INVALID_ARGUMENT) that names `field` where it has too many digits.
pub fn decimal_text(number: &BigDecimal, field: &str) -> Result<String> {
    let number = number.normalized();
    let (digits, places) = number.as_bigint_and_exponent();
    // Looked at first: 1e1000000000 written out would not fit into memory.
    if places > PLACES as i64 || places < -(WHOLE_DIGITS as i64) {
        return Err(refused(&format!("{digits}e{}", -places), field));
    }
    let text = number.to_plain_string();
    if is_decimal(&text) { Ok(text) } else { Err(refused(&text, field)) }
}

fn is_decimal(text: &str) -> bool {
    let digits = |part: &str, most| (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    match unsigned.split_once('.') {
        Some((whole, places)) => digits(whole, WHOLE_DIGITS) && digits(places, PLACES),
        None => digits(unsigned, WHOLE_DIGITS),
    }
}

fn refused(text: &str, field: &str) -> Error {
    let shown: String = text.chars().take(64).collect();
    Error::refusal(
        field,
        format!(
            "{shown:?} is not a decimal of at most {WHOLE_DIGITS} digits before the point and {PLACES} after it, in \
             plain notation"
        ),
    )
}
