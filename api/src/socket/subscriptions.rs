//! The jobs that one WebSocket is told of. Each has a reader of its own, which is asked for more only when what it gave
//! has been taken: of a client that is slow nothing piles up here.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;

use drover_shared::dialect::{Answer, Dialect, StreamEncoder};
use drover_shared::schema::{JobId, Seq};
use futures_util::future::{AbortHandle, Aborted, abortable};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::frame::{self, Frame};
use super::seats::Place;
use crate::metrics::{Open, Over};
use crate::tail::{Batch, Reader};

/// A job, and how it is told.
pub(super) struct Subscription {
    job: JobId,
    reader: Reader,
    form: Form,
    _place: Place,
    _open: Open,
}

enum Form {
    Events,
    /// The encoder has to have seen all events from the first, but tells only of those after `after`.
    Chunks {
        encoder: Box<dyn StreamEncoder>,
        after: Seq,
    },
}

type Next = Pin<Box<dyn Future<Output = Result<(Subscription, Option<Batch>), Aborted>> + Send>>;

/// All of a WebSocket's.
#[derive(Default)]
pub(super) struct Subscriptions {
    readers: FuturesUnordered<Next>,
    stops: HashMap<JobId, AbortHandle>,
}

impl Subscription {
    /// The job's events, as the reader has them.
    pub(super) fn events(place: Place, job: JobId, reader: Reader) -> Self {
        Self::new(place, job, reader, Form::Events)
    }

    fn new(place: Place, job: JobId, reader: Reader, form: Form) -> Self {
        Self { job, reader, form, _place: place, _open: Open::over(Over::WebSocket) }
    }

    /// The chunks of the job's answer. The reader begins at the beginning.
    pub(super) fn chunks(
        place: Place,
        dialect: &dyn Dialect,
        answer: &Answer,
        reader: Reader,
        after: Seq,
    ) -> Self {
        let form = Form::Chunks { encoder: dialect.stream(answer), after };
        Self::new(place, answer.job, reader, form)
    }

    /// The frames of a batch.
    pub(super) fn tell(&mut self, batch: &Batch) -> Vec<Utf8Bytes> {
        let mut frames = Vec::with_capacity(batch.len());
        for event in batch.iter() {
            match &mut self.form {
                Form::Events => frames.push(frame::event(self.job, event)),
                Form::Chunks { encoder, after } => {
                    let mut stream = Vec::new();
                    encoder.encode(&event.event, &mut stream);
                    if event.seq > *after {
                        frames.extend(frame::chunks(self.job, event.seq, &stream));
                    }
                }
            }
        }
        frames
    }

    /// What is said once there is no more.
    pub(super) fn end(&self) -> Utf8Bytes {
        Frame::Ended { job: self.job }.text()
    }
}

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.stops.len()
    }

    pub(super) fn has(&self, job: JobId) -> bool {
        self.stops.contains_key(&job)
    }

    pub(super) fn add(&mut self, subscription: Subscription) {
        let job = subscription.job;
        let (next, stop) = abortable(next(subscription));
        self.readers.push(Box::pin(next));
        self.stops.insert(job, stop);
    }

    /// The subscription that has something to tell, or has come to its end; it is to be given back with [`Self::add`] in
    /// the first case. `None` while there is none. Safe to cancel.
    pub(super) async fn next(&mut self) -> Option<(Subscription, Option<Batch>)> {
        loop {
            // Who was stopped may have been about to tell something.
            if let Ok((subscription, batch)) = self.readers.next().await? {
                self.stops.remove(&subscription.job);
                return Some((subscription, batch));
            }
        }
    }

    /// `false`: there is none of that job.
    pub(super) fn remove(&mut self, job: JobId) -> bool {
        let stop = self.stops.remove(&job);
        stop.inspect(AbortHandle::abort).is_some()
    }
}

async fn next(mut subscription: Subscription) -> (Subscription, Option<Batch>) {
    let batch = subscription.reader.next().await;
    (subscription, batch)
}
