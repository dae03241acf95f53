//! The user's settings: keys, themes, and the diagnostics of mistakes.

use proptest::prelude::*;
use ratatui::style::{Color, Modifier};
use setlist::tui::action::{Action, TABLE};
use setlist::tui::config::Config;
use setlist::tui::keymap::Keymap;
use setlist::tui::keys::{KeyCode, KeyPress};
use setlist::tui::theme::{Appearance, Palette, Theme, ThemeName};

#[track_caller]
fn good(text: &str) -> Config {
    Config::parse("config.yaml", text).unwrap_or_else(|errors| panic!("{}", errors.render(false)))
}

#[track_caller]
fn bad(text: &str) -> String {
    Config::parse("config.yaml", text).unwrap_err().render(false)
}

fn keys(config: &Config, action: Action) -> Vec<String> {
    config.keymap.keys(action).iter().map(KeyPress::to_string).collect()
}

#[test]
fn unset_options_have_their_defaults() {
    for text in ["", "# nothing yet\n", "keys:\n", "keys: {}\n", "theme: auto\n"] {
        assert_eq!(good(text), Config::default(), "{text:?}");
    }
}

#[test]
fn keys_are_added_changed_and_removed() {
    let config = good(
        "theme: colorblind\nascii: true\nmouse: false\nkeys:\n  run: [\"ctrl-r\", F5]\n  kill: []\n  cancel: ~\n  remove: Del\n  \
         half-down: Ctrl+F\n  open: [Enter, \"^o\", alt-o]\n  page-down: [pagedown, Space]\n  mark: m\n",
    );
    assert_eq!(config.appearance.theme, ThemeName::Palette(Palette::Colorblind));
    assert_eq!((config.appearance.ascii, config.mouse), (Some(true), false));
    assert_eq!(keys(&config, Action::Run), ["^r", "F5"]);
    assert_eq!(keys(&config, Action::Remove), ["Del"]);
    assert_eq!(keys(&config, Action::HalfDown), ["^f"]);
    assert_eq!(keys(&config, Action::Open), ["Enter", "^o", "M-o"]);
    assert_eq!(keys(&config, Action::PageDown), ["PgDn", "Space"]);
    assert!(keys(&config, Action::Kill).is_empty() && keys(&config, Action::Cancel).is_empty());
    assert_eq!(config.keymap.action("^r".parse().unwrap(), false), Some(Action::Run));
    assert_eq!(config.keymap.action("r".parse().unwrap(), false), None, "the old key is unbound");
    assert_eq!(config.keymap.key(Action::Kill), ":kill", "an action without a key is reached by its name");
    assert_eq!(keys(&config, Action::Quit), ["q", "^c"], "other keys are unchanged");
}

#[test]
fn the_example_of_the_help_topic_is_valid() {
    let topic = include_str!("../../../src/cli/help/config.md");
    let example = topic.split("```yaml\n").find(|example| example.starts_with("theme:")).unwrap();
    let config = good(example.split("```").next().unwrap());
    assert_eq!(config.appearance.theme, ThemeName::Palette(Palette::Dark));
    assert_eq!(keys(&config, Action::Run), ["r", "F5"]);
}

#[test]
fn every_mistake_is_reported_with_its_position_and_a_suggestion() {
    insta::with_settings!({snapshot_path => "", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("bad_config", bad(
            "theme: drak\nmous: true\nkeys:\n  cancle: x\n  run: [r, wrong-key]\n  kill: d\n  open: U\n  add: U\n  quit: []\n  \
             find: ctrl-i\n  zoom: [z, {a: b}]\n",
        ));
    });
}

#[test]
fn no_key_may_have_two_actions() {
    let errors = bad("keys: {run: x}\n");
    assert!(errors.contains("`x` is bound to both `run` and `cancel`"), "{errors}");
    assert!(errors.contains("bind `cancel` to another key, or to none: `cancel: []`"), "{errors}");
    assert_eq!(keys(&good("keys: {run: x, cancel: r}\n"), Action::Run), ["x"], "two actions may swap their keys");
    let errors = bad("keys:\n  run: m\n  kill: m\n");
    assert!(errors.contains("and here") && errors.matches("error").count() == 1, "{errors}");
}

#[test]
fn keys_have_several_spellings() {
    for (written, canonical) in [
        ("ctrl-d", "^d"),
        ("C-d", "^d"),
        ("Alt+x", "M-x"),
        ("alt-ctrl-x", "M-^x"),
        ("shift-tab", "S-Tab"),
        ("shift-g", "G"),
        ("escape", "Esc"),
        ("RETURN", "Enter"),
        ("pagedown", "PgDn"),
        ("delete", "Del"),
        ("space", "Space"),
        ("f12", "F12"),
        ("^", "^"),
        ("-", "-"),
        ("ctrl--", "^-"),
        ("é", "é"),
    ] {
        assert_eq!(written.parse::<KeyPress>().map(|key| key.to_string()), Ok(canonical.to_owned()), "{written}");
    }
    for wrong in ["", "ctrl-", "xy", "hyper-x", "shift-1", "fx"] {
        assert!(wrong.parse::<KeyPress>().is_err(), "{wrong}");
    }
}

fn free_key() -> impl Strategy<Value = KeyPress> {
    let code = prop_oneof![
        proptest::sample::select("bmsvyBCEHILMOSTUVWYZ@#%&()=_|~;',.éß漢".chars().collect::<Vec<_>>())
            .prop_map(KeyCode::Char),
        (1..=12_u8).prop_map(KeyCode::F),
        Just(KeyCode::Insert),
    ];
    (code, any::<bool>(), any::<bool>()).prop_map(|(code, ctrl, alt)| {
        // Only keys that terminals distinguish.
        let ctrl = ctrl && !matches!(code, KeyCode::Char(letter) if !letter.is_ascii_lowercase() || letter == 'm');
        KeyPress { code, ctrl, alt }
    })
}

proptest! {
    #[test]
    fn a_written_keymap_is_read_back(
        changes in proptest::collection::btree_map(0..TABLE.len(), free_key(), 0..12),
    ) {
        let mut wanted = Keymap::default();
        let mut text = String::from("keys:\n");
        let mut taken = Vec::new();
        for (nth, key) in changes {
            let entry = &TABLE[nth];
            if taken.contains(&key) || wanted.action(key, false).is_some() || wanted.action(key, true).is_some() {
                continue;
            }
            taken.push(key);
            wanted.set(entry.action, vec![key]);
            let written = serde_json::to_string(&key.to_string()).unwrap();
            text.extend(["  ", entry.name, ": ", &written, "\n"]);
        }
        let read = Config::parse("config.yaml", &text).map(|config| config.keymap);
        prop_assert_eq!(read.map_err(|errors| errors.render(false)), Ok(wanted));
    }
}

#[test]
fn colours_of_roles_replace_those_of_the_theme() {
    let config =
        good("theme: light\ncolors: {accent: '#7aa2f7', failure: bright-magenta, dim: 245, selection: blue}\n");
    let terminal = |name: &str| (name == "COLORTERM").then(|| "truecolor".into());
    let theme = Appearance::resolve(config.appearance, terminal).theme;
    let plain = Theme::new(Palette::Light);
    assert_eq!(
        (theme.focus.fg, theme.key.fg),
        (Some(Color::Rgb(0x7a, 0xa2, 0xf7)), Some(Color::Rgb(0x7a, 0xa2, 0xf7)))
    );
    assert_eq!((theme.failure.fg, theme.success), (Some(Color::LightMagenta), plain.success));
    assert_eq!((theme.dim.fg, theme.dim.add_modifier.contains(Modifier::DIM)), (Some(Color::Indexed(245)), false));
    assert_eq!(theme.cursor.bg, Some(Color::Blue));
    // Terminals with 256 colours get the nearest one, those without colours none.
    let few = Appearance::resolve(config.appearance, |_| None).theme;
    assert_eq!(few.focus.fg, Some(Color::Indexed(111)));
    let config = good("colors: {accent: red}\n");
    let none = Appearance::resolve(config.appearance, |name: &str| (name == "NO_COLOR").then(|| "1".into())).theme;
    assert_eq!(none, Theme::new(Palette::Mono));
}

#[test]
fn wrong_colours_are_reported() {
    let errors = bad("colors:\n  acent: red\n  success: greenish\n  dim: 256\n  rule: '#12'\n");
    assert!(errors.contains("unknown role `acent`") && errors.contains("did you mean `accent`?"), "{errors}");
    for wrong in ["greenish", "256", "#12"] {
        assert!(errors.contains(&format!("invalid colour \"{wrong}\"; write a name such as cyan")), "{errors}");
    }
}

#[test]
fn keys_of_pages_yield_to_those_of_the_user() {
    let config = good("keys:\n  mark: [m, s]\n");
    assert_eq!(keys(&config, Action::Mark), ["m", "s"]);
    assert!(keys(&config, Action::Graph).is_empty() && keys(&config, Action::Timeline).is_empty());
    assert_eq!(keys(&config, Action::History), ["C"]);
    let config = good("keys: {timeline: t2}\n".replace("t2", "F2").as_str());
    assert_eq!(keys(&config, Action::Timeline), ["F2"]);
}
