//! Request bodies that nobody has read. A socket that is closed with unread data resets the connection,
//! and the client sees a broken pipe instead of the error it was sent; so what is left is read and
//! dropped before an error goes out, within limits.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header::EXPECT;
use drover_shared::schema::limits;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};
use tokio::sync::oneshot;

/// Where a body that was dropped too early comes back.
pub(crate) struct Leftover(Option<oneshot::Receiver<Body>>);

/// Replaces the request's body by one that comes back when it is dropped before its end.
pub(crate) fn watch(request: Request) -> (Request, Leftover) {
    // Who asked for leave to send (`100-continue`) has not sent anything, and need not.
    if request.body().is_end_stream() || request.headers().contains_key(EXPECT) {
        return (request, Leftover(None));
    }
    let (back, leftover) = oneshot::channel();
    let request = request.map(|body| Body::new(Watched { body: Some(body), back: Some(back) }));
    (request, Leftover(Some(leftover)))
}

impl Leftover {
    /// Reads what is left, up to a size and a time.
    pub(crate) async fn discard(self) {
        let Some(Ok(mut body)) = self.0.map(|mut left| left.try_recv()) else { return };
        let read_on = async {
            let mut bytes = 0;
            while let Some(Ok(frame)) = body.frame().await {
                bytes += frame.data_ref().map_or(0, Bytes::len);
                if bytes > limits::UNWANTED_BODY_BYTES {
                    break;
                }
            }
        };
        // Whoever is slower than that has to live with a reset.
        let _ = tokio::time::timeout(limits::UNWANTED_BODY, read_on).await;
    }
}

struct Watched {
    body: Option<Body>,
    back: Option<oneshot::Sender<Body>>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let (Some(body), Some(back)) = (self.body.take(), self.back.take())
            && !body.is_end_stream()
        {
            // Nobody waits for it any more when the request was dropped as a whole.
            let _ = back.send(body);
        }
    }
}
