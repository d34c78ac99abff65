//! Why a WebSocket is closed, as its client is told.

use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Utf8Bytes};

/// The end of a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The client has closed it, and was answered.
    Closed,
    /// The connection is gone, with or without a word; there is nobody to be told.
    Gone,
    /// This api is about to leave.
    Leaving,
    /// The client breaks the protocol (RFC 6455).
    Protocol,
    /// A text that is none.
    NotText,
    /// A message that is too large.
    TooLarge,
    /// The key is not good any more, or not for all that it was.
    Refused,
    /// The client takes too long for a message.
    SlowWriter,
    /// The client does not read what it is told.
    SlowReader,
    /// The client answers no pings.
    Silent,
}

impl Ending {
    /// Every end of which a client is told.
    #[cfg(test)]
    pub(super) const TOLD: [Self; 8] = [
        Self::Leaving,
        Self::Protocol,
        Self::NotText,
        Self::TooLarge,
        Self::Refused,
        Self::SlowReader,
        Self::Silent,
        Self::SlowWriter,
    ];

    /// The close code and the reason.
    pub(super) fn told(self) -> Option<(u16, &'static str)> {
        match self {
            Self::Closed | Self::Gone => None,
            Self::Leaving => Some((1001, "the server is shutting down; connect again")),
            Self::Protocol => Some((1002, "the frame breaks RFC 6455")),
            Self::NotText => Some((1007, "the text is not UTF-8")),
            Self::TooLarge => Some((1009, "the message is too large")),
            Self::Refused => Some((4401, "the key is no longer good, or has lost a scope")),
            Self::SlowReader => {
                Some((4408, "the client reads too slowly; connect again and go on after the last seq"))
            }
            Self::Silent => Some((4409, "the client answers no pings")),
            Self::SlowWriter => Some((4410, "a message was not whole in time; send it faster, or less")),
        }
    }

    pub(super) fn frame(self) -> Option<CloseFrame> {
        let (code, reason) = self.told()?;
        Some(CloseFrame { code: CloseCode::from(code), reason: Utf8Bytes::from_static(reason) })
    }
}

impl From<Error> for Ending {
    fn from(error: Error) -> Self {
        match error {
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::Gone,
            Error::Protocol(_) => Self::Protocol,
            Error::Utf8(_) => Self::NotText,
            Error::Capacity(_) => Self::TooLarge,
            _ => Self::Gone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_tell_every_code() {
        for document in [include_str!("../../websocket.md"), include_str!("../../websocket.zh-CN.md")] {
            for ending in Ending::TOLD {
                let (code, reason) = ending.told().expect("it is told");
                assert!(document.contains(&format!("| {code} |")), "{code}");
                assert!(reason.len() <= 123, "a close frame holds no more (RFC 6455, section 5.5)");
            }
        }
    }
}
