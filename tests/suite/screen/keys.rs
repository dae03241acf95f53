//! The table of actions and the notation of keys.

use std::collections::HashMap;

use proptest::prelude::*;
use setlist::tui::action::TABLE;
use setlist::tui::keymap::Keymap;
use setlist::tui::keys::{Code, Key};

use super::stage::{Stage, queue};

#[test]
fn no_key_means_two_things() {
    let mut seen: HashMap<&str, Vec<_>> = HashMap::new();
    for entry in TABLE {
        for key in entry.keys {
            for (other, context) in seen.get(key).into_iter().flatten() {
                let clash = entry.context.overlaps(*context);
                assert!(!clash, "{key} means {other:?} and {:?}", entry.action);
            }
            seen.entry(key).or_default().push((entry.action, entry.context));
        }
    }
}

#[test]
fn every_action_has_a_key_and_a_help_text() {
    for entry in TABLE {
        assert!(!entry.help.is_empty() && !entry.keys.is_empty(), "{:?}", entry.action);
        for name in entry.keys {
            let key: Key = name.parse().unwrap();
            assert_eq!(&key.to_string(), name, "the notation of {:?}", entry.action);
            assert_eq!(Keymap::default().action(key, false), Some(entry.action));
        }
    }
}

#[test]
fn the_promised_keys_are_there() {
    let keys = "{}+-zcF0:pPrRxXdDuae[]123456789jkgG<PgUp><PgDn><^d><^u><Tab>hl<Left><Right><Up><Down><Enter><Esc>JK/f?q<^c>QnNwt<lt>>iTHLoyY";
    let keymap = Keymap::default();
    for key in Key::row("<Space>*").unwrap() {
        assert!(keymap.action(key, false).is_some(), "{key}");
    }
    for key in Key::row(keys).unwrap() {
        assert!(keymap.action(key, false).is_some(), "{key}");
        assert!(keymap.action(key, true).is_some(), "{key} in the output");
    }
}

#[test]
fn the_help_shows_every_action() {
    let mut stage = Stage::new(vec![queue("build", 1, 0, &[("a", "")])], 120, 80);
    stage.keys("?");
    let text = stage.text();
    for entry in TABLE {
        assert!(text.contains(entry.help), "{:?}", entry.action);
    }
    stage.keys("q");
    assert_eq!(stage.left, None, "closing the help does nothing else");
    assert!(stage.text().contains("Pending"));
}

#[test]
fn a_key_without_a_meaning_says_so() {
    let mut stage = Stage::new(vec![queue("build", 1, 0, &[("a", "")])], 80, 24);
    stage.keys("m");
    assert_eq!(stage.message(), "m does nothing here; ? shows all keys");
}

fn key() -> impl Strategy<Value = Key> {
    let named = [Code::Enter, Code::Esc, Code::Tab, Code::BackTab, Code::Backspace, Code::Delete, Code::Up];
    let more = [Code::Down, Code::Left, Code::Right, Code::Home, Code::End, Code::PageUp, Code::PageDown];
    let drawn = any::<char>().prop_filter("no control character", |c| !c.is_control()).prop_map(Code::Char);
    let signs = proptest::sample::select(vec!['^', '<', '>', 'M', '-', 'F', ' ', '1']).prop_map(Code::Char);
    let code =
        prop_oneof![proptest::sample::select([named, more].concat()), (1..=24_u8).prop_map(Code::F), signs, drawn,];
    (code, any::<bool>(), any::<bool>()).prop_map(|(code, ctrl, alt)| Key { code, ctrl, alt })
}

proptest! {
    #[test]
    fn keys_survive_being_written_down(key in key()) {
        prop_assert_eq!(key.to_string().parse::<Key>(), Ok(key));
    }

    #[test]
    fn any_text_is_a_key_or_an_error(text in ".{0,6}") {
        if let Ok(key) = text.parse::<Key>() {
            prop_assert_eq!(key.to_string().parse::<Key>(), Ok(key));
        }
        let _ = Key::row(&text);
    }
}
