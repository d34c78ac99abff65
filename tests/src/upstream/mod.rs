//! A scripted provider: a server on loopback that speaks the Anthropic Messages API, takes its
//! instructions from the prompt (`script`), and remembers what it was asked (`record`).

mod compose;
mod prompt;
mod record;
mod script;
mod serve;
mod socket;

pub use compose::Usage;
pub use record::{Call, Ending};
pub use script::{echo_text, thoughts, words};

use record::Record;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A running scripted provider. It stops when this is dropped.
pub struct Upstream {
    address: SocketAddr,
    record: Arc<Record>,
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Upstream {
    /// Starts on a free port of the loopback address.
    pub fn start() -> Self {
        Self::start_at(0)
    }

    /// Starts on a free port, and plays this script whatever it is asked.
    pub fn always(script: &str) -> Self {
        Self::start_with(0, Record::playing(script))
    }

    /// Starts on the given port. The server has a thread and a runtime of its own, so that what a test does
    /// to its own runtime shifts no answer.
    pub fn start_at(port: u16) -> Self {
        Self::start_with(port, Record::default())
    }

    fn start_with(port: u16, record: Record) -> Self {
        let record = Arc::new(record);
        let stop = CancellationToken::new();
        let (send, receive) = std::sync::mpsc::channel();
        let (thread_record, thread_stop) = (Arc::clone(&record), stop.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime for the upstream").block_on(async {
                let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a port for the upstream");
                send.send(listener.local_addr().expect("the bound address")).expect("the starter waits");
                tokio::select! {
                    () = serve::serve(listener, thread_record) => {}
                    () = thread_stop.cancelled() => {}
                }
            });
        });
        let address = receive.recv().expect("the upstream starts");
        Self { address, record, stop, thread: Some(thread) }
    }

    /// Base URL, as given to a client of the Anthropic API.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every call so far, in order of arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.record.calls()
    }

    /// The calls whose prompt is this one.
    pub fn calls_for(&self, prompt: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.prompt == prompt).collect()
    }

    /// Forgets every call, so that a long benchmark does not grow.
    pub fn forget(&self) {
        self.record.forget();
    }

    /// Waits until a call meets a condition, and panics with all calls when none does in time.
    pub async fn wait_for(&self, what: &str, deadline: Duration, holds: impl Fn(&Call) -> bool) -> Call {
        let mut changes = self.record.changes();
        let found = tokio::time::timeout(deadline, async {
            loop {
                changes.borrow_and_update();
                if let Some(call) = self.calls().into_iter().find(|call| holds(call)) {
                    return call;
                }
                changes.changed().await.expect("the record lives as long as the upstream");
            }
        });
        found.await.unwrap_or_else(|_| {
            panic!("no call within {deadline:?} of which holds: {what}; calls: {:#?}", self.calls())
        })
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
