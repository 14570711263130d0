//! The client of brokergate, a gRPC gateway for trading: exact decimals, safe repeats, streams that resume.
//!
//! [`Gateway`] is one connection. [`v1`] is the contract as it was generated; every request in it that is [`Unary`] goes
//! through [`Gateway::call`], and what is used most has methods of its own.

mod calls;
mod connection;
mod errors;
mod exact;
mod gateway;
mod ids;
mod streams;

pub use calls::{Streaming, Unary};
pub use connection::{Options, Tls, Token};
pub use errors::{Error, Failure, FieldViolation};
pub use exact::{Exactly, decimal, decimal_text};
pub use gateway::{Change, Gateway, Once, Order, OrderName, Place, Placed, Target, limit_order, market_order};
pub use ids::new_id;
pub use streams::{Event, EventOptions, EventStream, Fill, FillOptions, FillStream, Item, Money, Start, State};
pub use tonic::Code;

/// What a call or a stream gives, or why not.
pub type Result<T> = std::result::Result<T, Error>;

/// The contract as it was generated: messages with decimals as text.
#[allow(missing_docs, clippy::all)]
#[rustfmt::skip]
pub mod v1 {
    include!("gen/brokergate.v1.rs");
}
