//! The action table and the notation of keys.

use std::collections::HashMap;

use proptest::prelude::*;
use setlist::tui::action::TABLE;
use setlist::tui::keymap::Keymap;
use setlist::tui::keys::{KeyCode, KeyPress};

use super::harness::{ScreenHarness, queue};

#[test]
fn no_key_has_two_actions() {
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
            let key: KeyPress = name.parse().unwrap();
            assert_eq!(&key.to_string(), name, "the notation of {:?}", entry.action);
            assert_eq!(Keymap::default().action(key, false), Some(entry.action));
        }
    }
}

#[test]
fn the_documented_keys_are_bound() {
    let keys = "{}+-zcF0:pPrRxXdDuae[]123456789jkgG<PgUp><PgDn><^d><^u><Tab>hl<Left><Right><Up><Down><Enter><Esc>JK/f?q<^c>QnNwt<lt>>iTHLoyY";
    let keymap = Keymap::default();
    for key in KeyPress::parse_sequence("<Space>*").unwrap() {
        assert!(keymap.action(key, false).is_some(), "{key}");
    }
    for key in KeyPress::parse_sequence(keys).unwrap() {
        assert!(keymap.action(key, false).is_some(), "{key}");
        assert!(keymap.action(key, true).is_some(), "{key} in the output");
    }
}

#[test]
fn the_help_shows_every_action() {
    let mut harness = ScreenHarness::new(vec![queue("build", 1, 0, &[("a", "")])], 120, 100);
    harness.keys("?");
    let text = harness.text();
    for entry in TABLE {
        assert!(text.contains(entry.help), "{:?}", entry.action);
    }
    harness.keys("q");
    assert_eq!(harness.exit_reason, None, "closing the help only closes it");
    assert!(harness.text().contains("Pending"));
}

#[test]
fn an_unbound_key_says_so() {
    let mut harness = ScreenHarness::new(vec![queue("build", 1, 0, &[("a", "")])], 80, 24);
    harness.keys("~");
    assert_eq!(harness.message(), "~ does nothing here. Press ? to show all keys.");
}

fn key() -> impl Strategy<Value = KeyPress> {
    let named = [
        KeyCode::Enter,
        KeyCode::Esc,
        KeyCode::Tab,
        KeyCode::BackTab,
        KeyCode::Backspace,
        KeyCode::Delete,
        KeyCode::Up,
    ];
    let more =
        [KeyCode::Down, KeyCode::Left, KeyCode::Right, KeyCode::Home, KeyCode::End, KeyCode::PageUp, KeyCode::PageDown];
    let drawn = any::<char>().prop_filter("no control character", |c| !c.is_control()).prop_map(KeyCode::Char);
    let signs = proptest::sample::select(vec!['^', '<', '>', 'M', '-', 'F', ' ', '1']).prop_map(KeyCode::Char);
    let code =
        prop_oneof![proptest::sample::select([named, more].concat()), (1..=24_u8).prop_map(KeyCode::F), signs, drawn,];
    (code, any::<bool>(), any::<bool>()).prop_map(|(code, ctrl, alt)| KeyPress { code, ctrl, alt })
}

proptest! {
    #[test]
    fn keys_round_trip_as_text(key in key()) {
        prop_assert_eq!(key.to_string().parse::<KeyPress>(), Ok(key));
    }

    #[test]
    fn any_text_is_a_key_or_an_error(text in ".{0,6}") {
        if let Ok(key) = text.parse::<KeyPress>() {
            prop_assert_eq!(key.to_string().parse::<KeyPress>(), Ok(key));
        }
        let _ = KeyPress::parse_sequence(&text);
    }
}
