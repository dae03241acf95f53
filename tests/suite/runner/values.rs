//! Values of runs: the last line of output, or a value file.

use super::*;

#[test]
fn the_value_is_the_last_nonempty_line() {
    assert_eq!(value_of("true"), None);
    assert_eq!(value_of("echo; echo '  '"), None);
    assert_eq!(value_of("echo one; echo two; echo"), Some(json!("two")));
    assert_eq!(value_of("echo one; printf '  two\\t '"), Some(json!("two")));
    assert_eq!(value_of("echo out; echo err >&2"), Some(json!("out")));
    assert_eq!(value_of(r"printf '\033[1;32mall\033[0m good\n\033[0m\n'"), Some(json!("all good")));
    assert_eq!(value_of(r"printf '10%%\r20%%\r100%%\r\n'"), Some(json!("100%")));
    assert_eq!(value_of(r"printf '\033]9;4;1;50\007half\n'"), Some(json!("half")));
    assert_eq!(value_of("printf 'a'; sleep 0.01; printf 'b\\n'; sleep 0.01; printf '\\n'"), Some(json!("ab")));
    let long = value_of("printf '%02000d\\n' 7").unwrap();
    assert_eq!(long, json!("0".repeat(1000)));
}

#[test]
fn a_value_file_takes_precedence_and_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("value");
    let value = |text: &str| {
        let env = vec![("SETLIST_VALUE".to_owned(), file.clone().into_os_string())];
        let (report, _) = ran(Launch { env, value_file: Some(file.clone()), ..sh(&format!("echo printed; {text}")) });
        assert!(!file.exists(), "{text}");
        report.value
    };
    assert_eq!(value("true"), Some(json!("printed")));
    assert_eq!(value(r#"echo '{"passed": 12}' >"$SETLIST_VALUE""#), Some(json!({"passed": 12})));
    assert_eq!(value(r#"echo null >"$SETLIST_VALUE""#), Some(Value::Null));
    assert_eq!(value(r#"echo not json >"$SETLIST_VALUE""#), Some(json!("not json")));
    assert_eq!(value(r#": >"$SETLIST_VALUE""#), Some(json!("")));
    assert_eq!(value(r#"mkfifo "$SETLIST_VALUE""#), Some(json!("printed")));
    assert_eq!(value(r#"echo 5 >"$SETLIST_VALUE"; exit 1"#), None);
    let huge = value(r#"head -c 3000000 /dev/zero | tr '\0' x >"$SETLIST_VALUE""#);
    assert_eq!(huge, Some(json!("x".repeat(1024 * 1024))));
}
