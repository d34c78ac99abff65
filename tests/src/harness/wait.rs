//! Waiting for something to become true, with a deadline.

use std::time::Duration;

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// Looks again and again until there is a value, and panics when there is none in time.
pub async fn wait_until<T>(what: &str, deadline: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    wait_for(what, deadline, async || look()).await
}

/// The same for a look that takes I/O.
pub async fn wait_for<T>(what: &str, deadline: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = tokio::time::timeout(deadline, async {
        loop {
            if let Some(value) = look().await {
                return value;
            }
            tokio::time::sleep(LOOK).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("waited {deadline:?} in vain until {what}"))
}
