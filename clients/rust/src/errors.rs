//! What went wrong, as values: gRPC's code, the contract's reason, and what the error's details say.

use std::{collections::HashMap, error, fmt, ops::Deref, time::Duration};

use prost::Message as _;
use tonic::{Code, Status};

use crate::v1::{self, ErrorReason};

/// One field that is wrong: its path from the request (`order.limit_price`), and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// The path.
    pub field: String,
    /// What is wrong, which value it was, and the way out.
    pub description: String,
}

/// What an [`Error`] says.
#[derive(Clone, Debug)]
pub struct Failure {
    /// gRPC's code.
    pub code: Code,
    /// The contract's reason: UNSPECIFIED where the error is not the gateway's own (a connection that was refused), and
    /// where the gateway is newer than this client.
    pub reason: ErrorReason,
    /// The reason's name without its prefix, also of a newer gateway; empty where there is none.
    pub reason_name: String,
    /// For people.
    pub message: String,
    /// The wrong fields, where that is the reason.
    pub violations: Vec<FieldViolation>,
    /// Facts for programs, such as `earliest_cursor`.
    pub metadata: HashMap<String, String>,
    /// The gateway's word on when to try again.
    pub retry_delay: Option<Duration>,
    /// Of a call that changes something, the id under which it may be repeated safely: for an order its
    /// client_order_id, for a batch that of its first order. Empty of others.
    pub id: String,
    /// Whether it may have been carried out: an answer was lost, or the gateway does not know it itself.
    pub outcome_unknown: bool,
}

/// A call or a stream failed. Its text is for people and holds no secret.
#[derive(Clone)]
pub struct Error(Box<Failure>);

impl Deref for Error {
    type Target = Failure;

    fn deref(&self) -> &Failure {
        &self.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason_name.as_str() {
            "" => write!(to, "{:?}: {}", self.code, self.message)?,
            name => write!(to, "{name}: {}", self.message)?,
        }
        if self.outcome_unknown {
            write!(to, " (the outcome is unknown; repeat with id {:?} to learn it)", self.id)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(to)
    }
}

impl error::Error for Error {}

impl Error {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self(Box::new(Failure {
            code,
            reason: ErrorReason::Unspecified,
            reason_name: String::new(),
            message: message.into(),
            violations: Vec::new(),
            metadata: HashMap::new(),
            retry_delay: None,
            id: String::new(),
            outcome_unknown: false,
        }))
    }

    pub(crate) fn with_reason(mut self, reason: i32) -> Self {
        self.0.reason = ErrorReason::try_from(reason).unwrap_or_default();
        self.0.reason_name = reason_name(reason);
        self
    }

    /// What this client refuses itself, before anything is sent.
    pub(crate) fn refusal(field: &str, description: impl Into<String>) -> Self {
        let description = description.into();
        let mut error = Self::new(Code::InvalidArgument, format!("{field}: {description}"))
            .with_reason(ErrorReason::InvalidField as i32);
        error.0.violations.push(FieldViolation { field: field.to_owned(), description });
        error
    }

    /// The same error, of a call whose next attempt the deadline ended.
    pub(crate) fn asked_again(mut self) -> Self {
        self.0.message.push_str("; asked again, and no answer came before the deadline");
        self
    }

    /// The same error, of a call with this id.
    pub(crate) fn of(mut self, id: &str, outcome_unknown: bool) -> Self {
        self.0.id = id.to_owned();
        self.0.outcome_unknown = outcome_unknown;
        self
    }
}

/// A reason's name without its prefix, or its number where it is newer than this client.
fn reason_name(reason: i32) -> String {
    match ErrorReason::try_from(reason) {
        Ok(known) => known.as_str_name().trim_start_matches("ERROR_REASON_").to_owned(),
        Err(_) => reason.to_string(),
    }
}

/// The error of one item of a batch or of an order entry stream.
impl From<&v1::Error> for Error {
    fn from(item: &v1::Error) -> Self {
        let mut error = Self::new(Code::from(item.code), item.message.as_str()).with_reason(item.reason);
        error.0.metadata = item.metadata.clone();
        error.0.violations = item
            .field_violations
            .iter()
            .map(|each| FieldViolation { field: each.field.clone(), description: each.description.clone() })
            .collect();
        error
    }
}

/// The error of a call, with the details that the gateway sent.
impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let mut message =
            if status.message().is_empty() { "no message".to_owned() } else { status.message().to_owned() };
        let mut code = status.code();
        // tonic says "transport error" and keeps to itself what it was. To a TLS handshake that failed it gives the code of
        // whatever broke first: UNKNOWN, or CANCELLED where the call was still waiting for the connection.
        let mut source = error::Error::source(&status);
        while let Some(cause) = source {
            if matches!(code, Code::Unknown | Code::Cancelled) && cause.is::<tonic::transport::Error>() {
                code = Code::Unavailable;
            }
            let text = cause.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            source = cause.source();
        }
        let mut error = Self::new(code, message);
        // Garbage in the details leaves the error as gRPC told it.
        if let Ok(details) = rpc::Status::decode(status.details()) {
            for detail in details.details {
                let _ = error.add(&detail);
            }
        }
        error
    }
}

impl Error {
    fn add(&mut self, detail: &rpc::Any) -> std::result::Result<(), prost::DecodeError> {
        let bytes = detail.value.as_slice();
        match detail.type_url.rsplit_once('/').map(|(_, name)| name) {
            Some("google.rpc.ErrorInfo") => {
                let info = rpc::ErrorInfo::decode(bytes)?;
                if info.domain == "brokergate" {
                    self.0.reason =
                        ErrorReason::from_str_name(&format!("ERROR_REASON_{}", info.reason)).unwrap_or_default();
                    self.0.reason_name = info.reason;
                    self.0.metadata = info.metadata;
                }
            }
            Some("google.rpc.BadRequest") => self.0.violations.extend(
                (rpc::BadRequest::decode(bytes)?.field_violations.into_iter())
                    .map(|each| FieldViolation { field: each.field, description: each.description }),
            ),
            Some("google.rpc.RetryInfo") => {
                let delay = rpc::RetryInfo::decode(bytes)?.retry_delay.unwrap_or_default();
                self.0.retry_delay = Duration::try_from(delay).ok();
            }
            _ => {}
        }
        Ok(())
    }
}

/// `google.rpc`, as far as the gateway sends it. Written here: these messages have not changed since 2017, and a crate
/// with the rest of them is not needed.
mod rpc {
    use std::collections::HashMap;

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Status {
        #[prost(message, repeated, tag = "3")]
        pub details: Vec<Any>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Any {
        #[prost(string, tag = "1")]
        pub type_url: String,
        #[prost(bytes = "vec", tag = "2")]
        pub value: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ErrorInfo {
        #[prost(string, tag = "1")]
        pub reason: String,
        #[prost(string, tag = "2")]
        pub domain: String,
        #[prost(map = "string, string", tag = "3")]
        pub metadata: HashMap<String, String>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct RetryInfo {
        #[prost(message, optional, tag = "1")]
        pub retry_delay: Option<prost_types::Duration>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct BadRequest {
        #[prost(message, repeated, tag = "1")]
        pub field_violations: Vec<Violation>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Violation {
        #[prost(string, tag = "1")]
        pub field: String,
        #[prost(string, tag = "2")]
        pub description: String,
    }
}
