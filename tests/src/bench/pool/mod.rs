//! What the pool is for: processes that wait for a job, and those that are kept for their key's next one.

mod burst;
mod memory;
mod reused;
mod spare;

use super::report::Section;
use super::road;
use crate::client::Client;
use serde_json::Value;

const PROMPT: &str = "say 20 words";
/// The turns that a conversation has before the question, few and many.
const FEW: usize = 1;
const MANY: usize = 100;

pub(super) async fn measure() -> Vec<Section> {
    vec![spare::measure().await, reused::measure().await, burst::measure().await, memory::measure().await]
}

/// Waits until so many spares wait again, after so many that have served their one job and are gone.
async fn refilled(client: &Client, spares: usize, served: usize) -> Value {
    let rests = |pool: &Value| {
        pool["chat_spares"] == spares && pool["spare_claims"] == served && pool["recycled"] == served
    };
    road::pool(client, "the spares wait", rests).await
}
