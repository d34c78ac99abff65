//! Requests that are sent again under their key.

use std::time::Duration;

/// Longest idempotency key, in characters, as elsewhere (Stripe API, "Idempotent requests"); a UUID has 36.
pub const REQUEST_KEY_CHARS: usize = 255;
/// How long a job with a key goes on without a client, so that one whose connection broke finds it alive: SDKs come back
/// within 8 s, and a device that changes networks takes about as long.
pub const RETURN_GRACE: Duration = Duration::from_secs(15);
