//! Jobs over a WebSocket.

use std::time::Duration;

/// sockets that one api holds. Fewer than its connections, so that there is always room for a request.
pub const SOCKETS: usize = 8_000;
/// sockets that one key holds at one api: a client needs one for all of its jobs, and its users' browsers one each.
pub const SOCKETS_OF_A_KEY: usize = 6_000;
/// Largest message of a client, in bytes, in one frame or several; the body of a request stands in it.
pub const SOCKET_MESSAGE_BYTES: usize = 16 << 20;
/// Jobs that one WebSocket is subscribed to; each has a reader, which holds a few kilobytes.
pub const SOCKET_SUBSCRIPTIONS: usize = 256;
/// Longest identifier of a request, in bytes; a UUID has 36.
pub const SOCKET_ID_BYTES: usize = 128;
/// Longest parameter of a list, in bytes of JSON: what an address of HTTP has room for.
pub const SOCKET_PARAMETER_BYTES: usize = 16 << 10;
/// Most results of tools in one request: as many as a model is given tools at once.
pub const SOCKET_RESULTS: usize = 128;
/// Room for what a client sends, in bytes, kept for each WebSocket; the library's own is 128 KiB.
pub const SOCKET_READ_BYTES: usize = 2 << 10;
/// Messages up to here, in bytes, are read without further ado; most are a few kilobytes. A larger one has to find room,
/// and gives it back.
pub const SOCKET_SMALL_BYTES: usize = 256 << 10;
/// Room for large messages that are read and worked on at the same time, in bytes, of all sockets: the eight largest that
/// there may be. Others wait, their clients with them.
pub const SOCKET_LARGE_BYTES: usize = 8 * SOCKET_MESSAGE_BYTES;
/// Answers that a client has not read, in bytes, while which it is heard no more.
pub const SOCKET_ANSWERS_BYTES: usize = 64 << 10;
/// What the kernel holds for a client that has not been sent, in bytes: enough to keep any line busy, and so little that
/// a client that does not read is seen.
pub const SOCKET_UNSENT_BYTES: u32 = 64 << 10;
/// Jobs that all sockets of an api are subscribed to: at about 4 kB each, some 128 MiB.
pub const SUBSCRIPTIONS: usize = 32 << 10;
/// Frames that are collected before they go to the kernel, in bytes; the room is taken when it is needed.
pub const SOCKET_WRITE_BYTES: usize = 16 << 10;
/// How long a client may take to read [`SOCKET_PACE_BYTES`], or all that there is to read. Who is slower is cut off.
pub const SOCKET_WRITE: Duration = Duration::from_secs(20);
/// What a client reads in that time at least, in bytes: as fast as a telephone modem, and faster than any model speaks.
pub const SOCKET_PACE_BYTES: usize = 128 << 10;
/// Silence of a client after which it is pinged; proxies cut at 60 s.
pub const SOCKET_PING: Duration = Duration::from_secs(25);
/// Pings that a client may leave unanswered, each for [`SOCKET_PING`], before it counts as gone.
pub const SOCKET_PINGS: u32 = 2;
/// How long the end of a WebSocket may take: the last frame has to go out, and the client's to come.
pub const SOCKET_CLOSE: Duration = Duration::from_secs(5);
/// How long a ticket is good: a page asks for one right before it connects.
pub const TICKET: Duration = Duration::from_secs(30);
/// Tickets of one key that are good at a time: more pages than these do not connect within half a minute.
pub const TICKETS_OF_A_KEY: u32 = 1_000;
