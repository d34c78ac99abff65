//! The whole of Drover from the outside: real processes, the real Claude CLI in both builds, a scripted
//! provider, and clients that know nothing of what is inside.

mod access;
mod answers;
mod background;
mod choices;
mod conversations;
mod described;
mod failures;
mod files;
mod granularity;
mod histories;
mod jobs;
mod keys;
mod limits;
mod listing;
mod logs;
mod media;
mod metrics;
mod projects;
mod refusals;
mod replays;
mod responses_bodies;
mod road;
mod sdks;
mod secrets;
mod sessions;
mod shapes;
mod sockets;
mod stored;
mod tools;
