//! Text in cells and formatted numbers.

use std::time::Duration;

use proptest::prelude::*;
use setlist::text::{ASCII_ELLIPSIS, ELLIPSIS, bytes, count, duration, fit, pad, sanitize, sanitize_line, width};

#[test]
fn text_is_cut_between_characters() {
    for (text, cells, fitted) in [
        ("lint", 4, "lint"),
        ("linting", 4, "lin…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
        ("lint", 1, "…"),
        ("lint", 0, ""),
        ("", 0, ""),
    ] {
        assert_eq!(fit(text, cells, ELLIPSIS), fitted, "{text} in {cells}");
    }
    assert_eq!(fit("linting", 4, ASCII_ELLIPSIS), "lin~");
    assert_eq!(fit("linting", 4, "..."), "l...");
    assert_eq!(pad("日本語", 4, ELLIPSIS), "日… ");
    assert_eq!(pad("ab", 4, ELLIPSIS), "ab  ");
}

#[test]
fn titles_and_values_are_sanitized() {
    for (text, harmless) in [
        ("Unit tests", "Unit tests"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("a\x1b]0;title\x07b", "ab"),
        ("a\tb", "a    b"),
        ("a\u{202e}gpj.exe", "agpj.exe"),
        ("pay\u{200b}pal\u{feff}", "paypal"),
        ("a\u{9b}31mb\u{7f}c\0", "a31mbc"),
        ("one\r\ntwo\n", "one two"),
        ("日本 é ✓", "日本 é ✓"),
    ] {
        assert_eq!(sanitize_line(text), harmless, "{text:?}");
    }
    assert_eq!(sanitize("one\r\ntwo\n"), "one\ntwo\n");
}

#[test]
fn durations_are_short() {
    for (millis, shown) in [
        (0, "0ms"),
        (67, "67ms"),
        (99, "99ms"),
        (100, "0.1s"),
        (340, "0.3s"),
        (1_299, "1.2s"),
        (9_999, "9.9s"),
        (10_000, "10s"),
        (59_999, "59s"),
        (184_000, "3m 04s"),
        (7_860_000, "2h 11m"),
        (7_440_000, "2h 04m"),
        (273_600_000, "3d 4h"),
    ] {
        assert_eq!(duration(Duration::from_millis(millis)), shown);
    }
}

#[test]
fn sizes_and_counts_are_short() {
    for (size, shown) in [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1_300_000, "1.2 MiB"),
        (16 << 20, "16 MiB"),
        ((1 << 20) - 1, "1023 KiB"),
        (1_288_490_189, "1.2 GiB"),
        (u64::MAX, "15 EiB"),
    ] {
        assert_eq!(bytes(size), shown);
    }
    for (number, shown) in [(0, "0"), (999, "999"), (1000, "1,000"), (12_345, "12,345"), (1_234_567, "1,234,567")] {
        assert_eq!(count(number), shown);
    }
}

proptest! {
    #[test]
    fn fitted_text_fits(text in "\\PC{0,20}", cells in 0_usize..30) {
        prop_assert!(width(&fit(&text, cells, ELLIPSIS)) <= cells);
        prop_assert_eq!(width(&pad(&text, cells, ELLIPSIS)), cells);
    }

    #[test]
    fn plain_text_has_no_controls(text: String) {
        prop_assert!(!sanitize_line(&text).chars().any(char::is_control));
    }
}
