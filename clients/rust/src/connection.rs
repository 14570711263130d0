//! How the gateway is reached: address, TLS, token, and the settings that find a dead peer.

use std::{fmt, net::IpAddr, time::Duration};

use http::uri::Authority;
use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use crate::{Error, Result};

/// Encrypt, and check the gateway's certificate against `roots` (PEM), or the system's authorities where None. With
/// `identity` (certificate and key, PEM) the client shows a certificate of its own (mTLS).
#[derive(Clone, Default)]
pub struct Tls {
    /// The authorities to believe.
    pub roots: Option<Vec<u8>>,
    /// Certificate and key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// The name to expect in the gateway's certificate where it is not the address's.
    pub server_name: Option<String>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let identity = self.identity.as_ref().map(|_| "…");
        to.debug_struct("Tls")
            .field("identity", &identity)
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

/// A bearer token that no form of it shows.
#[derive(Clone)]
pub struct Token(MetadataValue<Ascii>);

impl Token {
    /// The token as it was printed. An [`Error`] for one that is empty or holds blanks or control characters.
    pub fn new(text: &str) -> Result<Self> {
        let refusal =
            || Error::refusal("token", "it is empty or holds blanks or control characters; give it as it was printed");
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(refusal());
        }
        let mut value = MetadataValue::try_from(format!("Bearer {text}")).map_err(|_| refusal())?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    pub(crate) fn metadata(&self) -> MetadataValue<Ascii> {
        self.0.clone()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("Token(…)")
    }
}

/// How to connect; `Options::default()` is plaintext, without a token.
#[derive(Clone, Debug)]
pub struct Options {
    /// Goes over plaintext to this machine alone, unless `allow_plaintext_token`.
    pub token: Option<Token>,
    /// None: nothing is encrypted.
    pub tls: Option<Tls>,
    /// Bounds every unary call with its repeats.
    pub deadline: Duration,
    /// How often a connection with calls on it is tried. The gateway refuses less than 10 s.
    pub keepalive: Duration,
    /// How long the answer to that may take.
    pub keepalive_timeout: Duration,
    /// Something else encrypts: a tunnel, a mesh.
    pub allow_plaintext_token: bool,
    /// What the gateway's audit calls this program, 1 to 64 printable ASCII characters.
    pub client_name: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            token: None,
            tls: None,
            deadline: Duration::from_secs(10),
            keepalive: Duration::from_secs(20),
            keepalive_timeout: Duration::from_secs(10),
            allow_plaintext_token: false,
            client_name: "brokergate-client-rust".to_owned(),
        }
    }
}

/// How long one attempt at a connection may take; the calls that wait for it have deadlines of their own.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How much of a stream may wait here to be read.
const STREAM_WINDOW_BYTES: u32 = 2 << 20;
/// HTTP/2's largest.
const CONNECTION_WINDOW_BYTES: u32 = (1 << 31) - 1;

/// A channel that connects when it is first used, and again when it is next used.
pub(crate) fn open_channel(address: &str, options: &Options) -> Result<Channel> {
    if options.token.is_some() && options.tls.is_none() && !is_loopback(address) && !options.allow_plaintext_token {
        return Err(Error::refusal(
            "token",
            format!(
                "for {address:?} it would be sent unencrypted; give tls, or allow_plaintext_token where something else \
             encrypts"
            ),
        ));
    }
    let name = &options.client_name;
    if !(1..=64).contains(&name.len()) || !name.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(Error::refusal("client_name", "it must be 1 to 64 characters of printable ASCII"));
    }
    let uri = match (&options.tls, address.strip_prefix("unix:")) {
        (_, Some(path)) => format!("unix://{}", path.trim_start_matches("//")),
        (None, None) => format!("http://{address}"),
        (Some(_), None) => format!("https://{address}"),
    };
    let wrong = |field: &'static str| move |error: tonic::transport::Error| Error::refusal(field, chain(&error));
    let mut endpoint = Endpoint::from_shared(uri)
        .and_then(|endpoint| endpoint.user_agent(name.clone()))
        .map_err(wrong("address"))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(options.keepalive)
        // What a stream has sent and nobody has read counts against both windows: the connection's is never the one that
        // is full, else a few streams that stand still would hold up every call beside them.
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_timeout(options.keepalive_timeout);
    if let Some(tls) = &options.tls {
        let mut config = match &tls.roots {
            Some(roots) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(roots)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        if let Some((certificate, key)) = &tls.identity {
            config = config.identity(Identity::from_pem(certificate, key));
        }
        if let Some(name) = &tls.server_name {
            config = config.domain_name(name);
        }
        endpoint = endpoint.tls_config(config).map_err(wrong("tls"))?;
    }
    Ok(endpoint.connect_lazy())
}

fn chain(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {}", chain(source)))
}

/// Whether what goes to `address` stays on this machine: a loopback address, `localhost`, or a Unix socket.
fn is_loopback(address: &str) -> bool {
    if address.starts_with("unix:") {
        return true;
    }
    // As it will be read to connect: of `localhost:1@elsewhere` the host is elsewhere.
    let Ok(authority) = address.parse::<Authority>() else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host.parse::<IpAddr>().map_or_else(|_| host.eq_ignore_ascii_case("localhost"), |ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_on_this_machine() {
        for address in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "LocalHost:1", "unix:/run/x"] {
            assert!(is_loopback(address), "{address}");
        }
        for address in
            ["10.0.0.1:1", "[::2]:1", "localhost.example:1", "localhost:1@gateway", "[::1]@gateway:1", "gateway:1"]
        {
            assert!(!is_loopback(address), "{address}");
        }
    }

    #[test]
    fn a_token_is_never_shown() {
        let options = Options { token: Some(Token::new("hush-hush").unwrap()), ..Options::default() };
        assert!(!format!("{options:?} {:?}", options.token.as_ref().unwrap().metadata()).contains("hush"));
        let text = Token::new("hush hush").unwrap_err().to_string();
        assert!(!text.contains("hush"), "{text}");
    }
}
