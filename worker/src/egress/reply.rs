//! What the proxy itself answers.

use bytes::Bytes;
use drover_shared::schema::{Target, network::HostError};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, PROXY_AUTHENTICATE};
use hyper::{Response, StatusCode};

use super::network::Unreached;

/// The body of every answer.
pub(super) type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// Why a request goes no further. What it says is read by the agent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("This proxy wants the slot's token as its password.")]
    Token,
    #[error("This is a proxy: it takes CONNECT host:port, or the whole http:// address of a resource.")]
    Form,
    #[error("The target of the request is refused: {0}.")]
    NoHost(#[from] HostError),
    #[error("{} at port {} is not among the hosts that this project may reach.", .0.host, .0.port)]
    NotListed(Target),
    #[error("{host} {why}.", host = .0.host, why = .1)]
    Unreached(Target, Unreached),
    #[error("{} at port {} broke off before it had answered.", .0.host, .0.port)]
    BrokenOff(Target),
}

impl Refusal {
    pub(super) fn response(&self) -> Response<Body> {
        let body = Full::from(format!("{self}\n")).map_err(|never| match never {}).boxed_unsync();
        let mut response = Response::new(body);
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        if *self == Self::Token {
            headers.insert(PROXY_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"slot\""));
        }
        response
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Token => StatusCode::PROXY_AUTHENTICATION_REQUIRED,
            Self::Form => StatusCode::BAD_REQUEST,
            Self::NoHost(_) | Self::NotListed(_) | Self::Unreached(_, Unreached::NotPublic) => {
                StatusCode::FORBIDDEN
            }
            Self::Unreached(_, Unreached::Unknown) | Self::BrokenOff(_) => StatusCode::BAD_GATEWAY,
            Self::Unreached(_, Unreached::Silent) => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}
