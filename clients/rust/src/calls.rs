//! One call and its repeats.
//!
//! Every unary call of the contract may be repeated: a read changes nothing, a mutation carries an id under which the
//! gateway does it once. So a call whose answer was lost is sent again, as it was, until its deadline.

use std::{fmt, time::Duration};

use http::uri::PathAndQuery;
use prost::Message;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_stream::Stream;
use tonic::{Code, Request, client::Grpc, transport::Channel};
use tonic_prost::ProstCodec;

use crate::{Error, Result, Token, ids::random_u128, v1::ErrorReason};

/// A request of the contract with one answer.
pub trait Unary: Message + Clone + Default + 'static {
    /// The answer.
    type Response: Message + Default + 'static;
    /// Where the call goes.
    const PATH: &'static str;

    /// The id under which the call may be repeated, made where the request lacks it; empty for a read.
    fn id(&mut self) -> String {
        String::new()
    }
}

/// A request of the contract that is streamed, or whose answers are.
pub trait Streaming: Message + Default + 'static {
    /// An answer.
    type Response: Message + Default + 'static;
    /// Where the call goes.
    const PATH: &'static str;
}

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
const MAX_RECEIVE_BYTES: usize = 16 * 1024 * 1024;

/// Growing pauses: each is drawn from 0 to a span that doubles.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    span: Duration,
}

impl Backoff {
    /// The next pause, never shorter than the gateway asked for.
    pub(crate) fn next(&mut self, at_least: Option<Duration>) -> Duration {
        self.span = if self.span.is_zero() { FIRST_PAUSE } else { LONGEST_PAUSE.min(self.span * 2) };
        let share = (random_u128() >> 96) as f64 / f64::from(u32::MAX);
        self.span.mul_f64(share).max(at_least.unwrap_or_default())
    }

    /// Something went well: begin with short pauses again.
    pub(crate) fn reset(&mut self) {
        self.span = Duration::ZERO;
    }
}

/// Whether the connection broke, or something before the gateway answered in its place.
fn was_lost(error: &Error) -> bool {
    error.reason_name.is_empty()
        && matches!(error.code, Code::Unavailable | Code::Cancelled | Code::Internal | Code::Unknown)
}

/// Whether the gateway may have done what was asked although this error came.
fn maybe_done(error: &Error) -> bool {
    error.code == Code::DeadlineExceeded || error.reason == ErrorReason::OutcomeUnknown || was_lost(error)
}

/// Whether this is no more than a deadline that passed: an error before it says more.
fn is_late(error: &Error) -> bool {
    error.code == Code::DeadlineExceeded && error.reason_name.is_empty()
}

/// Whether the same call may succeed now or later.
pub(crate) fn invites_repeat(error: &Error) -> bool {
    error.code == Code::Unavailable || error.reason == ErrorReason::OutcomeUnknown || was_lost(error)
}

/// Whether this error says nothing of what an earlier attempt did: it came before the id was looked up.
fn leaves_open(error: &Error) -> bool {
    maybe_done(error) || matches!(error.code, Code::Unavailable | Code::Unauthenticated | Code::PermissionDenied)
}

/// Makes calls over a channel, with the token of a connection.
#[derive(Clone)]
pub(crate) struct Caller {
    channel: Channel,
    token: Option<Token>,
    pub(crate) deadline: Duration,
}

impl fmt::Debug for Caller {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Caller").field("token", &self.token).field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl Caller {
    pub(crate) fn new(channel: Channel, token: Option<Token>, deadline: Duration) -> Self {
        Self { channel, token, deadline }
    }

    /// The answer, asked for again until the deadline as often as it takes. `id` is that of a mutation.
    pub(crate) async fn unary<M, R>(&self, path: &'static str, message: M, id: &str) -> Result<R>
    where
        M: Message + Clone + 'static,
        R: Message + Default + 'static,
    {
        let end = Instant::now() + self.deadline;
        let mut backoff = Backoff::default();
        let mut maybe = false;
        let mut before: Option<Error> = None;
        loop {
            let error = match self.attempt(path, message.clone(), end).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            maybe |= maybe_done(&error);
            if is_late(&error)
                && let Some(before) = before
            {
                return Err(before.asked_again().of(id, maybe && !id.is_empty()));
            }
            let unknown = maybe && !id.is_empty() && leaves_open(&error);
            let error = error.of(id, unknown);
            if !invites_repeat(&error) {
                return Err(error);
            }
            let pause = backoff.next(error.retry_delay);
            if Instant::now() + pause >= end {
                return Err(error);
            }
            sleep(pause).await;
            before = Some(error);
        }
    }

    async fn attempt<M, R>(&self, path: &'static str, message: M, end: Instant) -> Result<R>
    where
        M: Message + 'static,
        R: Message + Default + 'static,
    {
        let late = || Error::new(Code::DeadlineExceeded, "no answer came before the deadline");
        let mut request = self.request(message);
        request.set_timeout(end.saturating_duration_since(Instant::now()));
        let mut grpc = self.grpc();
        let call = async {
            grpc.ready().await.map_err(|error| tonic::Status::from_error(error.into()))?;
            grpc.unary(request, PathAndQuery::from_static(path), ProstCodec::default()).await
        };
        match timeout_at(end, call).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            // tonic keeps the deadline as well, a little early, and calls it by another name.
            Ok(Err(status)) if Instant::now() >= end || status.message() == "Timeout expired" => Err(late()),
            Ok(Err(status)) => Err(status.into()),
            Err(_) => Err(late()),
        }
    }

    /// A call with streams, as it is: no deadline, no repeats, no resuming. Dropping the answers cancels it.
    pub(crate) async fn streaming<M, R>(
        &self,
        path: &'static str,
        messages: impl Stream<Item = M> + Send + 'static,
    ) -> Result<tonic::Streaming<R>>
    where
        M: Message + 'static,
        R: Message + Default + 'static,
    {
        let mut grpc = self.grpc();
        grpc.ready().await.map_err(|error| tonic::Status::from_error(error.into()))?;
        let request = self.request(messages);
        Ok(grpc.streaming(request, PathAndQuery::from_static(path), ProstCodec::default()).await?.into_inner())
    }

    fn grpc(&self) -> Grpc<Channel> {
        Grpc::new(self.channel.clone()).max_decoding_message_size(MAX_RECEIVE_BYTES)
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", token.metadata());
        }
        request
    }
}
