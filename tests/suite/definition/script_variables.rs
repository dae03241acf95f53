//! Warnings about variables in scripts that are always empty.

use std::fs;
use std::path::Path;

use super::items::named_snapshots;
use super::*;

/// The warnings of a `jobs.yaml`.
fn warnings(yaml: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.yaml");
    fs::write(&file, yaml).unwrap();
    let (_, warnings) = definition::read_with_warnings(&file).unwrap_or_else(|error| panic!("{error}"));
    warnings.join("\n")
}

#[test]
fn variables_that_are_always_empty_are_reported() {
    let found = warnings(
        r#"
inputs: {name: text}
queues:
  q:
    inputs: {token: {type: secret}, format: text}
    jobs:
      - {id: a, for_each: [x, y], run: echo $item}
      - {id: b, for_each: [{n: 1}], run: 'echo "$item"', needs: c}
      - {id: c, run: 'echo "$SETLIST_NEEDS_D" $SETLIST_NEEDS_E_OUTCOME'}
      - {id: d, command: [bash, -c, 'echo $SETLIST_NEEDS_OTHER']}
      - id: e
        run: |
          # $SETLIST_INPUT_NONE
          echo one
          echo "$SETLIST_INPUT_TOKN"
      - {id: f, run: 'test -n "$SETLIST_INPUT_ZONE"', if: 'test $SETLIST_NEEDS_A'}
"#,
    );
    named_snapshots().bind(|| insta::assert_snapshot!("empty_variables", found));
}

#[test]
fn variables_that_may_be_set_are_not_reported() {
    let found = warnings(
        r#"
inputs: {zone: eu, name: {default: text}}
defaults: {env: {SETLIST_INPUT_OWN: x}}
queues:
  p:
    jobs: [{id: out, run: x}]
  q:
    inputs: {my-token: {type: secret}}
    jobs:
      - {id: a, for_each: [x], run: 'for item in 1 2; do echo $item; done'}
      - {id: b, for_each: [x], run: 'item=$SETLIST_ITEM; echo $item'}
      - {id: c, for_each: [x], run: 'ls | while read -r item; do echo "$item"; done'}
      - {id: d, for_each: [x], run: '. ./lib.sh; echo "$item"'}
      - {id: e, for_each: [x], run: "awk '{print $item}' f"}
      - {id: f, for_each: [x], run: 'echo ${item:-none} "$items" \$item'}
      - {id: g, for_each: [x], run: 'echo $item', env: {item: x}}
      - {id: h, for_each: [x], run: 'echo $item', shell: python}
      - {id: i, matrix: {item: [1]}, run: 'echo $item'}
      - {id: j, run: 'echo $item'}
      - {id: k, needs: [i, p/out, out], run: 'echo $SETLIST_NEEDS_I_1 $SETLIST_NEEDS_OUT $SETLIST_NEEDS_P_OUT_OUTCOME'}
      - {id: out, run: 'echo $SETLIST_INPUT_MY_TOKEN $SETLIST_INPUT_ZONE ${SETLIST_INPUT_NONE-} $SETLIST_INPUT_OWN'}
      - {id: l, needs: p, run: 'echo $SETLIST_NEEDS_P_OUT'}
      - {id: m, needs: a, run: 'echo $SETLIST_NEEDS_A_X_'}
"#,
    );
    assert_eq!(found, "");
}

#[test]
fn a_script_may_have_many_variables() {
    let lines = (0..20_000).map(|nth| format!("        SETLIST_NEEDS_A{nth}=1; echo $SETLIST_NEEDS_A{nth}\n"));
    let script: String = lines.collect();
    assert_eq!(warnings(&format!("queues:\n  q:\n    - run: |\n{script}")), "");
}

#[test]
fn examples_have_no_warnings_about_variables() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut read = 0;
    for folder in ["examples", "src/definition", "src/cli/templates"] {
        for entry in fs::read_dir(root.join(folder)).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yaml")
                && let Ok((_, warnings)) = definition::read_with_warnings(&path)
            {
                read += 1;
                assert!(!warnings.iter().any(|warning| warning.contains(" is empty: ")), "{path:?}: {warnings:?}");
            }
        }
    }
    assert!(read > 3, "{read}");
}
