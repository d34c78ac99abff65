//! Drover's worker process.

fn main() {
    // Before any thread or runtime exists: a supervisor is this same program under another first argument.
    drover_worker::slot::supervise_if_asked();
}
