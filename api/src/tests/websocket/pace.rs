//! Clients that send or read slowly, or much.

use std::time::Duration;

use drover_shared::schema::{CancelReason, JobId, limits};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::time::sleep;

use super::client::{CLOSE, PING, PONG, Socket, TEXT, frame};
use crate::tests::store::text;
use crate::tests::{Api, within};

/// A good request of so many bytes.
fn padded(bytes: usize) -> Vec<u8> {
    let request = r#"{"type":"ping"#.len() + r#""}"#.len();
    format!(r#"{{"type":"ping"{}}}"#, " ".repeat(bytes - request)).into_bytes()
}

fn pong() -> Value {
    json!({"type": "pong"})
}

/// The next text, whatever else comes; pings are not answered.
async fn text_after_pings(socket: &mut Socket) -> Value {
    loop {
        match socket.frame().await.expect("a frame") {
            (PING, _) => {}
            (TEXT, payload) => return serde_json::from_slice(&payload).expect("JSON"),
            other => panic!("{other:?}"),
        }
    }
}

async fn all_free(api: &Api) {
    within("room", async {
        while api.app.rooms.free() < limits::SOCKET_LARGE_BYTES {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn who_sends_slowly_is_not_silent() {
    let api = Api::with(|settings| settings.socket_ping = Duration::from_millis(50)).await;
    let mut socket = Socket::open(api.address).await;
    // Many times as long as silence is borne.
    let message = frame(TEXT, &padded(60));
    for byte in message {
        socket.send(&[byte]).await;
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(text_after_pings(&mut socket).await, pong());
}

#[tokio::test]
async fn a_message_has_to_come_to_its_end() {
    let api = Api::with(|settings| {
        settings.socket_ping = Duration::from_millis(50);
        settings.body_timeout = Duration::from_millis(300);
    })
    .await;
    let long = frame(TEXT, &padded(10_000));
    for (what, begun, more) in [
        ("a byte now and then", &long[..5_000], &long[5_000..5_001]),
        ("pieces without an end", &frame(0x01, b"{"), &frame(0x00, b" ")),
        ("everything else", &frame(0x01, b"{"), &frame(PONG, b"")),
    ] {
        let mut socket = Socket::open(api.address).await;
        socket.send(begun).await;
        let reason = loop {
            match socket.frame().await.expect("a frame") {
                (CLOSE, reason) => break reason,
                (PING, _) => socket.send(more).await,
                other => panic!("{what}: {other:?}"),
            }
        };
        assert_eq!(reason[..2], 4410_u16.to_be_bytes(), "{what}");
    }
    // Between messages there is nothing to wait for.
    let mut socket = Socket::open(api.address).await;
    for _ in 0..10 {
        assert_eq!(socket.frame().await.expect("a ping").0, PING);
        socket.send(&frame(PONG, b"")).await;
    }
    assert_eq!(socket.answer(json!({"type": "ping"})).await, pong());
}

#[tokio::test]
async fn the_room_of_a_large_message_is_given_back() {
    let api = Api::start().await;
    let mut socket = Socket::open(api.address).await;
    let large = padded(limits::SOCKET_SMALL_BYTES + 1);
    let (first, second) = large.split_at(100_000);
    // Whatever follows at once is not lost with what is thrown away.
    let frames = [
        frame(TEXT, &large),
        frame(PING, b"1"),
        frame(TEXT, br#"{"type":"ping","id":"2"}"#),
        frame(0x01, first),
        frame(PING, b"3"),
        frame(0x80, second),
        frame(TEXT, br#"{"type":"ping","id":"4"}"#),
    ];
    let (mut told, mut pongs) = (Vec::new(), 0);
    let sending = frames.concat();
    socket.send(&sending).await;
    while told.len() < 4 {
        match socket.frame().await.expect("a frame") {
            (TEXT, payload) => {
                told.push(serde_json::from_slice::<Value>(&payload).expect("JSON")["id"].clone());
            }
            (PONG, _) => pongs += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(told, [Value::Null, json!("2"), Value::Null, json!("4")]);
    assert!(pongs > 0, "the last one counts (RFC 6455, section 5.5.3)");
    all_free(&api).await;
    // Nor is it kept by who leaves in the middle.
    socket.send(&frame(TEXT, &large)[..200_000]).await;
    within("its beginning", async {
        while api.app.rooms.free() == limits::SOCKET_LARGE_BYTES {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    drop(socket);
    all_free(&api).await;
}

#[tokio::test]
async fn large_messages_wait_for_room_and_small_ones_do_not() {
    let api = Api::with(|settings| {
        settings.socket_ping = Duration::from_millis(50);
        settings.body_timeout = Duration::from_millis(100);
    })
    .await;
    let full = api.app.rooms.fill();
    let mut large = Socket::open(api.address).await;
    large.send(&frame(TEXT, &padded(limits::SOCKET_SMALL_BYTES + 1))).await;
    let mut small = Socket::open(api.address).await;
    for _ in 0..10 {
        assert_eq!(small.answer(json!({"type": "ping"})).await, pong());
        sleep(Duration::from_millis(50)).await;
    }
    // Neither silent nor late: it is the server that is.
    drop(full);
    assert_eq!(text_after_pings(&mut large).await, pong());
}

/// Subscribes to a job that says more than any kernel holds.
async fn flooded(api: &Api) -> (Socket, JobId) {
    let mut socket = Socket::open(api.address).await;
    let request = json!({"type": "job.submit", "request": {"model": "opus"}, "subscribe": true});
    socket.answer(request).await;
    let job = api.store.job_enqueued().await;
    for _ in 0..24 {
        api.store.say(job, [text(&"x".repeat(1 << 20))]);
    }
    (socket, job)
}

#[tokio::test]
async fn who_reads_a_little_now_and_then_is_cut_off_too() {
    let api = Api::with(|settings| settings.socket_write = Duration::from_millis(300)).await;
    let (mut socket, _) = flooded(&api).await;
    within("an end", async {
        while api.app.seats.taken() > 0 && api.app.tail.readers() > 0 {
            let mut little = [0; 512];
            let _ = socket.stream.read(&mut little).await.expect("something");
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn who_does_not_read_is_heard_all_the_same() {
    let api = Api::with(|settings| settings.socket_write = Duration::from_hours(1)).await;
    let (mut socket, job) = flooded(&api).await;
    socket.say(json!({"type": "job.cancel", "job": job.to_string()})).await;
    assert_eq!(api.store.called_off(job).await, CancelReason::Requested);
    api.shutdown.cancel();
    within("leaving", async {
        while api.app.tail.readers() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_asked_for_belongs_to_the_request_that_opened_the_socket() {
    let api = Api::start().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let lines = format!("traceparent: 00-{trace}-b7ad6b7169203331-01\r\n");
    let (head, mut socket) = Socket::ask(api.address, "/v1/ws", &lines).await;
    for _ in 0..2 {
        socket.answer(json!({"type": "job.submit", "request": {"model": "opus"}})).await;
    }
    let origins: Vec<_> = api.store.lock().origins.values().cloned().collect();
    assert_eq!(origins.len(), 2);
    for origin in origins {
        assert!(head.contains(&format!("x-request-id: {}\r\n", origin.request)), "{head}");
        assert!(origin.trace.to_string().contains(trace), "{origin:?}");
    }
}
