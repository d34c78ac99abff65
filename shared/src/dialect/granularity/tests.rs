use std::sync::{Arc, Mutex};

use super::*;
use crate::schema::{Block, StopReason, Usage, limits};

/// Writes down what it is told.
#[derive(Clone, Default)]
struct Witness(Arc<Mutex<Vec<Event>>>);

impl StreamEncoder for Witness {
    fn encode(&mut self, event: &Event, _: &mut Vec<u8>) {
        self.0.lock().expect("one thread").push(event.clone());
    }
}

fn told(granularity: Granularity, events: &[Event]) -> Vec<Event> {
    let witness = Witness::default();
    let mut encoder = in_pieces(granularity, Box::new(witness.clone()));
    for event in events {
        encoder.encode(event, &mut Vec::new());
    }
    witness.0.lock().expect("one thread").clone()
}

fn text(text: &str) -> Event {
    Event::TextDelta { index: 0, text: text.to_owned() }
}

fn thought(thinking: &str) -> Event {
    Event::ThinkingDelta { index: 0, thinking: thinking.to_owned() }
}

fn texts(events: &[Event]) -> Vec<&str> {
    let text = |event| match event {
        &Event::TextDelta { ref text, .. } | &Event::ThinkingDelta { thinking: ref text, .. } => {
            Some(text.as_str())
        }
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

const END: Event = Event::BlockStopped { index: 0 };

/// The pieces of a text that comes as `said`, and its end.
fn pieces(granularity: Granularity, said: &[&str]) -> Vec<String> {
    let mut events: Vec<Event> = said.iter().map(|piece| text(piece)).collect();
    events.push(END);
    texts(&told(granularity, &events)).into_iter().map(str::to_owned).collect()
}

#[test]
fn a_text_is_told_in_the_pieces_that_were_asked_for() {
    use Granularity::{Character, Message, Sentence, Word};
    for (granularity, said, expected) in [
        (Character, "naïve\r\n", &["n", "a", "ï", "v", "e", "\r\n"][..]),
        (Character, "e\u{301}👩‍👩‍👧🇨🇭🇩🇪", &["e\u{301}", "👩‍👩‍👧", "🇨🇭", "🇩🇪"]),
        (Word, "Hello, world!", &["Hello, ", "world!"]),
        (Word, "  can't stop\n\nat 3.14 (pi)", &["  can't ", "stop\n\n", "at ", "3.14 ", "(pi)"]),
        (Word, "你好，世界 ok", &["你", "好，", "世", "界 ", "ok"]),
        (Word, "- f(x) = y_1", &["- ", "f(", "x) ", "= ", "y_1"]),
        (Word, " \n ", &[" \n "]),
        (Sentence, "One. Two? \"Three!\" four.", &["One. ", "Two? ", "\"Three!\" ", "four."]),
        (Sentence, "It is 3.5 e.g. here. So.", &["It is 3.5 e.g. here. ", "So."]),
        (Sentence, "你好。再见！", &["你好。", "再见！"]),
        (Sentence, "a line\n\n- b. 7", &["a line\n", "\n", "- b. ", "7"]),
        (Message, "One. Two.", &["One. Two."]),
    ] {
        assert_eq!(pieces(granularity, &[said]), expected, "{granularity:?}");
    }
}

#[test]
fn a_piece_goes_out_as_soon_as_it_is_sure() {
    use Granularity::{Character, Message, Sentence, Word};
    for (granularity, said, expected) in [
        (Character, &["a", "b", "\u{301}", "c"][..], &[&[][..], &["a"], &[], &["b\u{301}"]][..]),
        (Word, &["He", "llo", " ", " w", "orld"], &[&[], &[], &[], &["Hello  "], &[]]),
        (Sentence, &["One.", " ", "(", "T", "wo. Three"], &[&[], &[], &[], &["One. "], &["(Two. "]]),
        (Sentence, &["3.", " ", "4", " of"], &[&[], &[], &[], &[]]),
        (Message, &["One. ", "Two."], &[&[], &[]]),
    ] {
        let witness = Witness::default();
        let mut encoder = in_pieces(granularity, Box::new(witness.clone()));
        for (piece, expected) in said.iter().zip(expected) {
            encoder.encode(&text(piece), &mut Vec::new());
            let told = std::mem::take(&mut *witness.0.lock().expect("one thread"));
            assert_eq!(texts(&told), *expected, "{granularity:?} at {piece:?}");
        }
    }
}

#[test]
fn the_model_is_told_as_it_speaks_unless_asked_otherwise() {
    let said = [text("Hel"), text("lo. W"), text("orld"), END];
    assert_eq!(told(Granularity::default(), &said), said);
}

#[test]
fn everything_else_keeps_its_place() {
    let notice = Event::Notice { code: "slow".to_owned(), message: "Slow.".to_owned() };
    let call = Event::BlockStarted {
        index: 1,
        block: Block::ToolUse { id: "toolu_1".to_owned(), name: "f".to_owned() },
    };
    let arguments = |json: &str| Event::ToolInputDelta { index: 1, partial_json: json.to_owned() };
    let end = Event::Completed { stop: StopReason::EndTurn, stop_sequence: None, usage: Usage::default() };
    let signed = Event::SignatureDelta { index: 0, signature: "s".to_owned() };
    let said = [
        thought("Hm"),
        notice.clone(),
        thought("m. So"),
        signed.clone(),
        END,
        text("It"),
        text(" is"),
        call.clone(),
        arguments("{\"a b"),
        arguments("\": 1}"),
        text("cut"),
        end.clone(),
    ];
    let expected = [
        notice,
        thought("Hmm. "),
        thought("So"),
        signed,
        END,
        text("It "),
        text("is"),
        call,
        arguments("{\"a b"),
        arguments("\": 1}"),
        text("cut"),
        end,
    ];
    assert_eq!(told(Granularity::Word, &said), expected);
}

#[test]
fn every_choice_has_pieces_of_its_own() {
    let of = |choice, event: Event| event.of(Some(choice));
    let end = Event::Completed { stop: StopReason::EndTurn, stop_sequence: None, usage: Usage::default() };
    let said = [
        of(0, text("He")),
        of(1, text("Good")),
        of(0, text("llo, wor")),
        of(1, text("bye")),
        of(0, text("ld")),
        of(0, END),
        end.clone(),
    ];
    let expected = [of(0, text("Hello, ")), of(0, text("world")), of(0, END), of(1, text("Goodbye")), end];
    assert_eq!(told(Granularity::Word, &said), expected);
}

/// Numbers that look random and are the same in every run (`SplitMix64`).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from(z ^ (z >> 31)).expect("64 bits") % bound
    }
}

/// What makes boundaries hard: marks that need to see on, joiners, flags, lines, scripts without spaces.
const SCRAPS: [&str; 28] = [
    "a",
    "B",
    "é",
    "e\u{301}",
    "1",
    "3.1",
    ".",
    ". ",
    "?! ",
    "\"",
    "'",
    "can't",
    " ",
    "\n",
    "\r",
    "\r\n",
    "_",
    "-",
    "(",
    ")",
    "你好",
    "。",
    "カタ",
    "ไทย",
    "👩‍👩‍👧",
    "\u{200d}",
    "🇨",
    "क्ष",
];

#[test]
fn pieces_depend_on_the_text_alone_and_make_it_up() {
    for seed in 0..1_500 {
        let mut random = Random(seed);
        let count = random.below(30);
        let said: String = (0..count).map(|_| SCRAPS[random.below(SCRAPS.len())]).collect();
        for granularity in Granularity::ALL.into_iter().skip(1) {
            let once = pieces(granularity, &[&said]);
            assert_eq!(once.concat(), said, "seed {seed}");
            assert!(!once.iter().any(String::is_empty), "seed {seed}");
            let mut cuts: Vec<&str> = Vec::new();
            let mut rest = said.as_str();
            while !rest.is_empty() {
                let length = rest.chars().take(random.below(4)).map(char::len_utf8).sum();
                let (piece, later) = rest.split_at(length);
                cuts.push(piece);
                rest = later;
            }
            assert_eq!(pieces(granularity, &cuts), once, "seed {seed}, {granularity:?}: {cuts:?}");
        }
    }
}

#[test]
fn a_piece_without_an_end_is_cut_where_a_character_ends() {
    let family = "👩‍👩‍👧";
    for (granularity, most) in
        [(Granularity::Word, limits::GRAIN_BYTES), (Granularity::Sentence, limits::GRAIN_BYTES)]
    {
        for said in [
            "x".repeat(2 * most),
            format!("ab{}", family.repeat(2 * most / family.len())),
            "1. 7".repeat(most / 3),
        ] {
            let letters: Vec<String> = said.chars().map(String::from).collect();
            let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
            let once = pieces(granularity, &[&said]);
            assert_eq!(once.concat(), said);
            assert!(once.iter().all(|piece| piece.len() <= most), "{granularity:?}");
            assert!(!once.iter().any(|piece| piece.starts_with('\u{200d}')), "{granularity:?}");
            assert_eq!(pieces(granularity, &letters), once, "{granularity:?}");
        }
    }
    let heap = format!("a{}", "\u{301}".repeat(limits::GRAIN_BYTES));
    assert_eq!(pieces(Granularity::Character, &[&heap]).concat(), heap);
}
