//! A client of `/v1/ws`.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

/// An open WebSocket.
pub struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    /// Connects to the api at an address, as `127.0.0.1:8000`, which may be gone.
    pub async fn open(address: &str) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).await?;
        // So little for each that thousands can be open.
        let config = WebSocketConfig::default().read_buffer_size(2 << 10).write_buffer_size(0);
        let url = format!("ws://{address}/v1/ws");
        let (socket, _) = tokio_tungstenite::client_async_with_config(url, stream, Some(config)).await?;
        Ok(Self(socket))
    }

    /// Sends a request.
    pub async fn say(&mut self, request: &Value) -> Result<(), Error> {
        self.0.send(Message::text(request.to_string())).await
    }

    /// The next frame; `None` once the connection is gone, with or without a word.
    pub async fn hear(&mut self) -> Option<Value> {
        loop {
            match self.0.next().await? {
                Ok(Message::Text(text)) => {
                    return Some(serde_json::from_str(&text).expect("frames are JSON"));
                }
                Ok(_) => {}
                Err(_broken) => return None,
            }
        }
    }
}
