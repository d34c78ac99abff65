//! What a model may look at besides text.

use serde::{Deserialize, Serialize};

/// Where an image or a document is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Source {
    /// Here, as bytes.
    Base64 {
        /// What they are, such as `image/png`.
        media_type: String,
        /// The bytes in standard base64 with padding, exactly as the client sent them.
        data: String,
    },
    /// Here, as text.
    Text {
        /// The text; never empty.
        data: String,
    },
    /// On the web. The provider fetches it; Drover never does.
    Url {
        /// An `https` URL.
        url: String,
    },
}
