//! RFC 6455 at its edges, byte by byte.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::client::{BINARY, CLOSE, PING, PONG, Socket, TEXT, frame};
use crate::tests::store::text;
use crate::tests::{Api, within};

const ASK: &[u8] = br#"{"type":"ping","id":"\u00e9 1"}"#;

#[tokio::test]
async fn a_message_may_come_in_pieces_with_control_frames_between() {
    let api = Api::start().await;
    let mut socket = Socket::open(api.address).await;
    let text = r#"{"type":"ping","id":"é€𝄞"}"#.as_bytes();
    // Each byte in a frame of its own, so that characters are split as well.
    let (last, pieces) = text.split_last().expect("a text");
    for (at, byte) in pieces.iter().enumerate() {
        socket.send(&frame(u8::from(at == 0), &[*byte])).await;
        socket.send(&frame(PING, &[*byte])).await;
        assert_eq!(socket.frame().await, Some((PONG, vec![*byte])));
    }
    socket.send(&frame(0x00, b"")).await;
    socket.send(&frame(0x80, &[*last])).await;
    assert_eq!(socket.hear().await, json!({"type": "pong", "id": "é€𝄞"}));

    // And each byte of a frame in a packet of its own.
    for byte in frame(TEXT, ASK) {
        socket.send(&[byte]).await;
    }
    assert_eq!(socket.hear().await["type"], "pong");
    // And several frames in one.
    let both = [frame(TEXT, ASK), frame(PONG, b"unasked"), frame(TEXT, ASK), frame(PING, b"x")].concat();
    socket.send(&both).await;
    assert_eq!(socket.hear().await["type"], "pong");
    assert_eq!(socket.hear().await["type"], "pong");
    assert_eq!(socket.frame().await, Some((PONG, b"x".to_vec())));
}

#[tokio::test]
async fn what_breaks_the_protocol_is_closed_with_its_code() {
    let api = Api::start().await;
    let unmasked = [&[TEXT, 2][..], b"{}"].concat();
    let begun = |second: Vec<u8>| [frame(0x01, b"{"), second].concat();
    let too_long = [&[TEXT, 0xff][..], &((16 << 20) + 1_u64).to_be_bytes(), &[0; 4]].concat();
    let in_pieces = [frame(0x01, &vec![b' '; 10 << 20]), frame(0x80, &vec![b' '; 7 << 20])].concat();
    for (what, bytes, code) in [
        ("unmasked", unmasked, 1002),
        ("a reserved bit", frame(0xc1, b"{}"), 1002),
        ("a reserved type of data", frame(0x83, b"{}"), 1002),
        ("a reserved type of control", frame(0x8b, b""), 1002),
        ("a ping in pieces", frame(0x09, b""), 1002),
        ("a long ping", frame(PING, &[0; 126]), 1002),
        ("a long close", frame(CLOSE, &[3; 126]), 1002),
        ("a piece of nothing", frame(0x80, b"x"), 1002),
        ("a message within a message", begun(frame(TEXT, b"{}")), 1002),
        ("no UTF-8", frame(TEXT, b"\xff"), 1007),
        ("half a character", frame(TEXT, b"\xe2\x82"), 1007),
        ("half a character, then none", begun(frame(0x80, b"\xe2\x28\xa1")), 1007),
        ("a surrogate", frame(TEXT, b"\xed\xa0\x80"), 1007),
        ("a frame that is too large", too_long, 1009),
        ("a message that is too large", in_pieces, 1009),
        ("a close of one byte", frame(CLOSE, &[3]), 1002),
        ("a close for no text", frame(CLOSE, b"\x03\xe8\xff"), 1007),
    ] {
        let mut socket = Socket::open(api.address).await;
        socket.send(&bytes).await;
        assert_eq!(socket.closed().await, Some(code), "{what}");
    }
    assert_eq!(api.get("/livez").await.status, 200);
}

#[tokio::test]
async fn a_close_is_answered_with_its_code() {
    let api = Api::start().await;
    for (payload, answered) in [
        (&b""[..], None),
        (b"\x03\xe8", Some(1000)),
        (b"\x03\xe9bye", Some(1001)),
        (b"\x0f\xa0", Some(4000)),
        // Codes that nobody may send: 0, 999, 1004, 1005, 1006, 1015, 2999, 5000.
        (b"\x00\x00", Some(1002)),
        (b"\x03\xe7", Some(1002)),
        (b"\x03\xec", Some(1002)),
        (b"\x03\xed", Some(1002)),
        (b"\x03\xee", Some(1002)),
        (b"\x03\xf7", Some(1002)),
        (b"\x0b\xb7", Some(1002)),
        (b"\x13\x88", Some(1002)),
    ] {
        let mut socket = Socket::open(api.address).await;
        // What comes after a close is not read.
        socket.send(&[frame(CLOSE, payload), frame(TEXT, ASK)].concat()).await;
        let (first, told) = socket.frame().await.expect("an answer");
        let code = told.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]]));
        assert_eq!((first, code), (CLOSE, answered), "{payload:?}");
        assert_eq!(socket.frame().await, None);
    }
}

#[tokio::test]
async fn a_close_amid_a_stream_is_answered_too() {
    let api = Api::start().await;
    for round in 0..20 {
        let mut socket = Socket::open(api.address).await;
        let request = json!({"type": "job.submit", "request": {"model": "opus"}, "subscribe": true});
        let id = socket.answer(request).await["job"]["id"].as_str().expect("a job").parse().expect("an id");
        // So that there is always something to be told, also when the close has come.
        let talking = async {
            loop {
                api.store.say(id, [text("piece")]);
                tokio::task::yield_now().await;
            }
        };
        let closing = async {
            assert_eq!(socket.hear().await["type"], "job.event");
            socket.send(&frame(CLOSE, b"\x03\xe8")).await;
            loop {
                let (first, payload) = socket.frame().await.expect("an answer to the close");
                if first == CLOSE {
                    break payload;
                }
            }
        };
        let told = tokio::select! {
            () = talking => unreachable!("it goes on for ever"),
            told = closing => told,
        };
        assert_eq!(told, b"\x03\xe8", "round {round}");
        assert_eq!(socket.frame().await, None);
    }
}

#[tokio::test]
async fn both_may_close_at_once_and_either_may_just_go() {
    let api = Api::start().await;
    let mut both = Socket::open(api.address).await;
    let mut silent = Socket::open(api.address).await;
    let gone = Socket::open(api.address).await;
    let mut half = Socket::open(api.address).await;
    half.send(&[frame(TEXT, ASK), frame(0x01, b"{")].concat()).await;
    half.stream.shutdown().await.expect("half of it can be shut");
    assert_eq!(half.hear().await["type"], "pong", "what was asked before is answered");
    assert_eq!(half.frame().await, None);
    drop(gone);
    both.send(&frame(TEXT, ASK)).await;
    assert_eq!(both.hear().await["type"], "pong");

    api.shutdown.cancel();
    both.send(&frame(CLOSE, b"\x03\xe8")).await;
    assert!(matches!(both.closed().await, Some(1000 | 1001)), "whoever is first");
    // Who does not answer is not waited for very long.
    assert_eq!(
        silent.frame().await.map(|(first, payload)| (first, payload[..2].to_vec())),
        Some((CLOSE, vec![3, 0xe9]))
    );
    within("leaving", api.serving).await.expect("no panic").expect("no error");
}

#[tokio::test]
async fn other_frames_than_text_and_other_text_than_requests_leave_it_open() {
    let api = Api::start().await;
    let mut socket = Socket::open(api.address).await;
    socket.send(&frame(BINARY, b"{}")).await;
    assert_eq!(socket.hear().await["error"]["code"], "unsupported_frame");
    for (text, code) in [("", "invalid_json"), ("[]", "invalid_json"), (r#"{"type":"x"}"#, "invalid_value")] {
        socket.say_text(text).await;
        let frame = socket.hear().await;
        assert_eq!((&frame["status"], &frame["error"]["code"]), (&json!(400), &json!(code)), "{text}");
    }
    // As long as it may be.
    let long = format!(r#"{{"type":"ping"{}}}"#, " ".repeat((16 << 20) - 15));
    assert_eq!(long.len(), 16 << 20);
    socket.say_text(&long).await;
    assert_eq!(socket.hear().await, json!({"type": "pong"}));
}

#[tokio::test]
async fn who_answers_no_pings_is_gone() {
    let api = Api::with(|settings| settings.socket_ping = Duration::from_millis(50)).await;
    let mut socket = Socket::open(api.address).await;
    for _ in 0..5 {
        let (first, payload) = socket.frame().await.expect("a ping");
        assert_eq!(first, PING);
        socket.send(&frame(PONG, &payload)).await;
    }
    assert_eq!(socket.closed().await, Some(4409));
}

#[tokio::test]
async fn who_does_not_read_is_cut_off_and_holds_up_nobody() {
    let api = Api::with(|settings| settings.socket_write = Duration::from_millis(300)).await;
    let mut slow = Socket::open(api.address).await;
    let mut quick = Socket::open(api.address).await;
    let request = json!({"type": "job.submit", "request": {"model": "opus"}, "subscribe": true});
    let told = slow.answer(request).await;
    let id = told["job"]["id"].clone();
    quick.answer(json!({"type": "job.subscribe", "job": id})).await;
    let job = api.store.job_enqueued().await;
    let mut dead = Socket::open(api.address).await;
    dead.answer(json!({"type": "job.subscribe", "job": id})).await;
    // More than the kernel holds for either side.
    let piece = "x".repeat(1 << 20);
    let mut pieces = 0;
    while api.app.tail.readers() > 1 {
        api.store.say(job, [text(&piece)]);
        pieces += 1;
        assert_eq!(quick.hear().await["event"]["seq"], pieces);
        assert!(pieces < 200, "they are never cut off");
    }
    // Once it reads, it gets what was on its way, and the reason.
    let reason = loop {
        let (first, payload) = slow.frame().await.expect("a frame");
        if first == CLOSE {
            break payload;
        }
    };
    assert_eq!(reason[..2], 4408_u16.to_be_bytes());
    slow.send(&frame(CLOSE, &reason)).await;
    within("the end of those", async {
        while api.app.seats.taken() > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(quick.answer(json!({"type": "ping"})).await["type"], "pong");
}
