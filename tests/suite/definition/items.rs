//! `for_each`: the jobs of lists, ranges, files and lines, their placeholders and errors.

use std::fs;
use std::path::Path;

use serde_json::json;
use setlist::model::MAX_VALUE_BYTES;

use super::*;

/// The names and titles of the jobs of the first queue.
fn labels(plan: &DesiredState) -> Vec<(&str, &str)> {
    let jobs = plan.queues[0].jobs.iter();
    jobs.map(|job| (job.name.as_deref().unwrap(), job.title.as_str())).collect()
}

/// Snapshots in the folder of the others, named without the module.
pub(super) fn named_snapshots() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description("with other files");
    settings
}

fn needs(job: &Definition) -> Vec<String> {
    job.scheduling.needs.iter().map(|need| need.job.to_string()).collect()
}

/// Reads a `jobs.yaml` in this folder: the jobs and the warnings.
fn read_in(folder: &Path, yaml: &str) -> (DesiredState, Vec<String>) {
    fs::write(folder.join("jobs.yaml"), yaml).unwrap();
    schema::assert_schema_accepts(yaml);
    definition::read_with_warnings(&folder.join("jobs.yaml")).unwrap_or_else(|error| panic!("{error}"))
}

/// The errors of a `jobs.yaml` in this folder, each with its line.
fn errors_in(folder: &Path, yaml: &str) -> String {
    fs::write(folder.join("jobs.yaml"), yaml).unwrap();
    let Err(definition::Error::Invalid(found)) = definition::read(&folder.join("jobs.yaml")) else { panic!("{yaml}") };
    let error = |error: &definition::Diagnostic| {
        let hint = error.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}: {}: {}{hint}\n", error.line, error.path, error.message)
    };
    found.errors.iter().map(error).collect()
}

#[test]
fn each_item_of_a_list_is_a_job_named_after_it() {
    let plan = parse_valid(
        r#"
queues:
  q:
    - {id: test, title: "On ${item}", command: [t, "${item}", "-n${index}"], for_each: [linux, 'Mac OS', a/b, 1.10, true]}
    - {title: Load, run: load "$SETLIST_ITEM", for_each: [x]}
    - {id: sh, run: fetch $SETLIST_ITEM_STEM, for_each: [data/a.csv]}
    - last
"#,
    );
    assert_eq!(
        labels(&plan),
        [
            ("test[linux]", "On linux"),
            ("test[Mac%20OS]", "On Mac OS"),
            ("test[a%2Fb]", "On a/b"),
            ("test[1.10]", "On 1.10"),
            ("test[true]", "On true"),
            ("load[x]", "Load (x)"),
            ("sh[data%2Fa.csv]", "fetch a"),
            ("last", ""),
        ]
    );
    let words = ["t", "Mac OS", "-n2"].map(String::from).to_vec();
    assert_eq!(script(&plan.queues[0].jobs[1]).program, Program::Command(words));
    assert!(plan.version.is_empty(), "all items are in the file");
}

#[test]
fn placeholders_have_the_values_of_maps_and_the_parts_of_paths() {
    let plan = parse_valid(
        r#"
queues:
  q:
    - id: load
      title: ${item.name}
      command: [load, "${item.rows}", "${item.dry-run}"]
      args: ["${item.rows}", "${item.rows}0", "${item.dry-run}"]
      env: {NAME: "${item.name}"}
      weight: ${item.rows}
      for_each: [{name: small, rows: 2, dry-run: true}, {name: 'very big', rows: 3, dry-run: false}]
    - {id: sum, run: sum, for_each: [{a: 1, b: 'x,y'}]}
    - {id: part, command: ["${item.name}", "${item.stem}", "${item.ext}", "${item.dir}"], for_each: [in/sub/clip.7.mp4, .bashrc, /x]}
"#,
    );
    let jobs = &plan.queues[0].jobs;
    let names = ["load[small]", "load[very%20big]", "sum[1,x%2Cy]"];
    assert_eq!(job_names(&plan, 0)[..3], names);
    assert_eq!(jobs[0].arguments.args, [json!(2), json!("20"), json!(true)]);
    assert_eq!((jobs[1].scheduling.weight, &script(&jobs[1]).exec.env["NAME"]), (3, &Some("very big".to_owned())));
    let parts = |job: usize| match &script(&jobs[job]).program {
        Program::Command(words) => words.clone(),
        Program::Run { .. } => panic!(),
    };
    assert_eq!(parts(3), ["clip.7.mp4", "clip.7", "mp4", "in/sub"]);
    assert_eq!(parts(4), [".bashrc", ".bashrc", "", "."]);
    assert_eq!(parts(5), ["x", "x", "", "/"]);
}

#[test]
fn a_range_includes_both_ends() {
    let plan = parse_valid(
        "queues: {q: [{id: a, run: x, for_each: 8..10}, {id: b, run: x, for_each: 008..010}, {id: c, run: x, for_each: -1..0}]}",
    );
    let names = ["a[8]", "a[9]", "a[10]", "b[008]", "b[009]", "b[010]", "c[-1]", "c[0]"];
    assert_eq!(job_names(&plan, 0), names);
}

#[test]
fn needs_mean_all_items_or_the_same_item() {
    let plan = parse_valid(
        r#"
queues:
  q:
    - {id: encode, run: x, for_each: [{id: a b, n: 1}, {id: c, n: 2}]}
    - {id: check, run: x, needs: "encode[${item}]", for_each: [a b, c]}
    - {id: again, run: x, needs: ["encode[${item.id}]", "check[${item}]"], for_each: [{id: a b}]}
    - {id: all, run: x, needs: [encode, q/check]}
    - {id: none, run: x, for_each: []}
    - {id: after-none, run: x, needs: none}
"#,
    );
    let jobs = &plan.queues[0].jobs;
    assert_eq!(needs(&jobs[2]), ["q/encode[a%20b]"]);
    assert_eq!(needs(&jobs[3]), ["q/encode[c]"]);
    assert_eq!(needs(&jobs[4]), ["q/encode[a%20b]", "q/check[a%20b]"]);
    assert_eq!(needs(&jobs[5]), ["q/encode[a%20b]", "q/encode[c]", "q/check[a%20b]", "q/check[c]"]);
    assert!(needs(&jobs[6]).is_empty());
}

#[test]
fn a_script_may_have_variables_of_these_names() {
    parse_valid(
        r"
queues:
  q:
    - {run: 'for item in a b; do echo ${item}; done', for_each: [a]}
    - {run: 'ls | while read -r item; do echo ${item}; done; index=3; echo ${index}', for_each: [a]}
    - {run: 'echo ${item} ${index}'}
    - {command: [bash, -c, 'echo ${item}'], on_finish: 'echo ${item}', on_stall: {run: 'echo ${item.x}'}, stall: 1m}
    - {command: [find, '${index}']}
",
    );
}

#[test]
fn files_are_sorted_and_named_after_the_folders_with_wildcards() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for file in
        ["in/b.mp4", "in/a b.mp4", "in/c.mov", "in/sub/d.mp4", "in/.hidden.mp4", "in/x.txt", "in/sub/deep/e.mp4"]
    {
        fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
        fs::write(folder.join(file), "").unwrap();
    }
    let names = |pattern: &str| {
        let yaml = format!("queues: {{q: [{{id: e, command: [e, '${{item}}'], for_each: {{glob: {pattern}}}}}]}}");
        let (plan, warnings) = read_in(folder, &yaml);
        assert!(warnings.is_empty(), "{warnings:?}");
        job_names(&plan, 0).iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("'in/*.mp4'"), ["e[a%20b.mp4]", "e[b.mp4]"]);
    assert_eq!(names("'in/*.{mp4,mov}'"), ["e[a%20b.mp4]", "e[b.mp4]", "e[c.mov]"]);
    assert_eq!(names("['in/*.mp4', in/c.mov, './in/[b]*.mp4']"), ["e[a%20b.mp4]", "e[b.mp4]", "e[c.mov]"]);
    assert_eq!(names("'in/**/*.mp4'"), ["e[a%20b.mp4]", "e[b.mp4]", "e[sub%2Fd.mp4]", "e[sub%2Fdeep%2Fe.mp4]"]);
    assert_eq!(names("'in/*/'"), ["e[sub]"]);
    assert_eq!(names("'*/*/?.mp4'"), ["e[in%2Fsub%2Fd.mp4]"]);
    assert_eq!(names(&format!("'{}/in/?.mp4'", folder.display())), ["e[b.mp4]"]);
    // Another pattern changes no names: those of other folders are whole paths.
    fs::create_dir(folder.join("more")).unwrap();
    fs::write(folder.join("more/b.mp4"), "").unwrap();
    let both = ["e[a%20b.mp4]", "e[b.mp4]", "e[more%2Fb.mp4]"];
    assert_eq!(names("['in/*.mp4', 'more/*.mp4']"), both);
    assert_eq!(names("['in/*.mp4', 'more/*.mp4', '*.mp4', 'in/sub/d.mp4']")[..2], both[..2]);
    assert_eq!(names("['more/*.mp4', 'in/b.mp4']"), ["e[in%2Fb.mp4]", "e[b.mp4]"]);
    fs::create_dir(folder.join("in/more")).unwrap();
    fs::write(folder.join("in/more/b.mp4"), "").unwrap();
    assert_eq!(names("['in/more/*', 'more/*']"), ["e[b.mp4]", "e[more%2Fb.mp4]"]);
    assert_eq!(names("['in/m*/*', 'more/*']"), ["e[more%2Fb.mp4]", "e[.%2Fmore%2Fb.mp4]"]);
}

#[test]
fn the_version_changes_with_the_items() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let yaml = "queues: {q: [{id: e, run: e, for_each: {glob: '*.in'}}, {id: l, run: l, for_each: {lines: list}}]}";
    let version = |yaml: &str| read_in(folder, yaml).0.version;
    let empty = version(yaml);
    let read = || definition::read(&folder.join("jobs.yaml")).unwrap();
    assert_eq!(read().version, empty);
    fs::write(folder.join("a.in"), "").unwrap();
    let one = read().version;
    assert_ne!(one, empty);
    fs::write(folder.join("list"), "x\r\n\n y\nx\n").unwrap();
    assert_ne!(read().version, one);
    assert_eq!(job_names(&read(), 0), ["e[a.in]", "l[x]", "l[%20y]"]);
    assert!(definition::has_items_from_elsewhere(&one));
    assert!(!definition::has_items_from_elsewhere(&version("queues: {q: [a]}")));
}

#[test]
fn what_is_odd_about_items_is_a_warning_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("twice"), "a\nb\na\nb\na\n").unwrap();
    fs::write(folder.join("empty"), "\n \n").unwrap();
    fs::write(folder.join("ok.bin"), "").unwrap();
    fs::write(folder.join("${needs.a}.bin"), "").unwrap();
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::ffi::OsStrExt;
        fs::write(folder.join(std::ffi::OsStr::from_bytes(b"\xff.bin")), "").unwrap();
    }
    let yaml = "\
queues:
  q:
    - {id: a, run: a, for_each: []}
    - {id: b, run: b, for_each: {glob: '*.mp4'}}
    - {id: c, run: c, for_each: {glob: ['no/*', '*.mov']}}
    - {id: d, run: d, for_each: {lines: twice}}
    - {id: e, run: e, for_each: {lines: empty}}
    - {id: f, run: f, for_each: {lines: missing}}
    - {id: g, run: g, for_each: {glob: '*.bin'}}
";
    let (plan, warnings) = read_in(folder, yaml);
    assert_eq!(job_names(&plan, 0), ["d[a]", "d[b]", "g[ok.bin]"]);
    insta::with_settings!({description => "with other files", snapshot_path => "", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("odd_items", warnings.join("\n"));
    });
}

#[test]
fn files_that_cannot_be_read_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("latin"), b"ok\nna\xefve\n").unwrap();
    fs::write(folder.join("nul"), b"a\n\0\n").unwrap();
    fs::write(folder.join("needs"), "${needs.a.value}").unwrap();
    let many: Vec<String> = (0..100_001).map(|line| line.to_string()).collect();
    fs::write(folder.join("many"), many.join("\n")).unwrap();
    fs::create_dir(folder.join("folder")).unwrap();
    fs::File::create(folder.join("huge")).unwrap().set_len((32 << 20) + 1).unwrap();
    let entries = [
        "lines: latin",
        "lines: nul",
        "lines: needs",
        "lines: many",
        "lines: folder",
        "lines: huge",
        "glob: '[a'",
        "glob: '{a'",
        "glob: '{a,b,c}{a,b,c}{a,b,c}{a,b,c}{a,b,c}'",
    ];
    let job = |(nth, entry): (usize, &&str)| format!("    - {{id: z{nth}, run: a, for_each: {{{entry}}}}}");
    let jobs: Vec<String> = entries.iter().enumerate().map(job).collect();
    let jobs = jobs.join("\n");
    insta::with_settings!({description => "with other files", snapshot_path => "", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("unreadable_items", errors_in(folder, &format!("queues:\n  q:\n{jobs}")));
    });
}

#[test]
fn wrong_items_are_reported_with_their_places() {
    assert_report(
        "wrong_for_each",
        r"
defaults: {for_each: [a]}
queues:
  q:
    - {id: a, run: a, for_each: [x, y, x, {id: k}, {id: k, n: 1}]}
    - {id: b, run: b, for_each: [[x], null, '', {}, {n: [1]}, {'a b': 1}, '${needs.a.value}', 'x${needs.']}
    - {id: c, run: c, for_each: 9..1}
    - {id: d, run: d, for_each: 1..x}
    - {id: e, run: e, for_each: 1..1000000}
    - {id: f, run: f, for_each: in/*.mp4}
    - {id: g, run: g, for_each: {watch: 'in/*.mp4'}}
    - {id: h, run: h, for_each: {glob: a, lines: b}}
    - {id: i, run: i, for_each: {glob: []}}
    - {id: p, run: p, for_each: {glob: {a: 1}}}
    - {id: r, run: r, for_each: {glob: [{a: 1}, '']}}
    - {id: j, run: j, for_each: {glob: ' '}}
    - {id: k, run: k, for_each: {glb: 'in/*.mp4'}}
    - {id: l, run: l, for_each: [a], matrix: {n: [1]}}
    - {id: m, run: m, for_each: }
    - {id: n, run: n, for_each: 5}
    - {id: o, run: o, for_each: {lines: ''}}
",
    );
}

#[test]
fn wrong_placeholders_of_items_are_reported() {
    assert_report(
        "wrong_items_in_fields",
        r#"
queues:
  q:
    env: {A: "${item}"}
    jobs:
      - {id: "a-${item}", run: a, for_each: [x]}
      - {id: b, run: 'echo ${item.stem}', for_each: [x]}
      - {id: c, run: 'echo ${index}', for_each: [x]}
      - {id: d, command: [sh, -c, 'echo ${item}'], for_each: [x]}
      - {id: e, command: ["${ item }", x], for_each: [x]}
      - {id: f, command: ["${item.size}"], for_each: [x]}
      - {id: g, command: ["${item.siz}"], for_each: [{size: 1}]}
      - {id: h, command: ["${item.rows}"], for_each: [{size: 1}]}
      - {id: i, command: ["${item}"], for_each: [{size: 1, n: 2}]}
      - {id: j, command: ["${matrix.x}"], for_each: [x]}
      - {id: k, command: ["${item}"], matrix: {x: [1]}}
      - {id: l, command: [echo, "${item.name}"]}
      - {id: m, command: ["${{ item.name }}"], for_each: [x]}
      - {id: n, run: n, on_finish: 'echo ${item}', for_each: [x]}
      - {id: o, run: o, on_stall: [sh, -c, 'echo ${item}'], stall: 1m, for_each: [x]}
      - {id: p, run: p, on_finish: [echo, "${item}"]}
"#,
    );
}

#[test]
fn wrong_needs_of_items_are_reported() {
    assert_report(
        "wrong_needs_of_items",
        r#"
queues:
  q:
    - {id: a, run: a, for_each: [x, y]}
    - {id: b, run: b, needs: "a[${item}]", for_each: [x, z]}
    - {id: c, run: c, needs: c, for_each: [x]}
    - {id: d, run: d, unique: same, for_each: [x, y]}
"#,
    );
}

#[test]
fn a_long_list_says_how_many_jobs_are_allowed() {
    let list = "x, ".repeat(100_001);
    assert_report_of_long_file(
        "long_for_each",
        &format!("queues:\n  q:\n    - run: a\n      for_each:\n        [{list}]\n"),
    );
}

#[test]
fn the_digest_of_a_job_depends_on_its_own_item_only() {
    let digests = |items: &str, run: &str| {
        let plan = parse_valid(&format!("queues: {{q: [{{id: a, run: {run}, for_each: {items}}}]}}"));
        let jobs = plan.queues[0].jobs.iter();
        jobs.map(|job| (job.name.clone().unwrap().to_string(), job.digest.unwrap()))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let two = digests("[x, y]", "r");
    assert_ne!(two["a[x]"], two["a[y]"]);
    let three = digests("[z, y, x]", "r");
    assert_eq!((two["a[x]"], two["a[y]"]), (three["a[x]"], three["a[y]"]));
    assert_ne!(digests("[x]", "s")["a[x]"], two["a[x]"]);
}

#[test]
fn the_line_of_an_item_is_that_of_its_entry() {
    let yaml = "queues:\n  q:\n    - first\n    - id: e\n      run: e\n      for_each: {glob: 'gone/*'}\n    - last\n";
    assert_eq!(definition::line_of(yaml, "q", "e[a.mp4]"), Some(4));
    assert_eq!(definition::line_of(yaml, "q", "e"), None);
    assert_eq!(definition::line_of(yaml, "q", "last"), Some(7));
}

#[test]
fn the_items_of_a_value_are_those_that_the_job_has_returned() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.yaml");
    let yaml = "
queues:
  q:
    - {id: list, run: list}
    - {id: e, run: e, for_each: {value: list}}
    - {id: f, needs: 'e[${item}]', command: [f, '${item.name}'], for_each: {value: q/list}}
    - {id: all, needs: [list, {job: e, on: finish}], run: all}
  other:
    - {id: g, needs: q, run: g}
";
    let (plan, warnings) = read_in(folder.path(), yaml);
    assert_eq!(labels(&plan).len(), 2);
    let warning = "q/list has not returned a list yet; this defines jobs when it has succeeded";
    assert_eq!(warnings, [format!("jobs.yaml:5:41: {warning}"), format!("jobs.yaml:6:84: {warning}")]);
    let jobs = |plan: &DesiredState| -> Vec<(String, Vec<String>)> {
        let jobs = plan.queues.iter().flat_map(|queue| &queue.jobs);
        jobs.map(|job| (job.name.as_deref().unwrap().to_owned(), needs(job))).collect()
    };
    let named = |name: &str, needs: &[&str]| (name.to_owned(), needs.iter().map(|need| (*need).to_owned()).collect());
    // What needs the jobs waits for the list, before there are any.
    assert_eq!(jobs(&plan), [named("list", &[]), named("all", &["q/list"]), named("g", &["q/list", "q/all"])]);
    let mut value = |queue: &str, name: &str| (queue == "q" && name == "list").then(|| json!(["a", "b"]));
    let (with_items, warnings) = definition::read_with_values(&file, &mut value).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(
        jobs(&with_items),
        [
            named("list", &[]),
            named("e[a]", &["q/list"]),
            named("e[b]", &["q/list"]),
            named("f[a]", &["q/e[a]", "q/list"]),
            named("f[b]", &["q/e[b]", "q/list"]),
            named("all", &["q/list", "q/e[a]", "q/e[b]"]),
            named("g", &["q/list", "q/e[a]", "q/e[b]", "q/f[a]", "q/f[b]", "q/all"]),
        ]
    );
    assert_ne!(plan.version, with_items.version);
    assert!(definition::has_items_from_elsewhere(&plan.version));
    let entries: Vec<&str> = plan.queues[0].jobs[0].scheduling.item_entries.iter().map(|entry| &**entry).collect();
    assert_eq!(entries, ["q/e", "q/f"]);
}

#[test]
fn errors_of_items_of_a_value_say_where_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let errors = |jobs: &str| errors_in(folder.path(), &format!("queues:\n  q:\n    - {{id: list, run: l}}\n{jobs}"));
    let each =
        |value: &str, more: &str| errors(&format!("    - {{id: e, run: e, for_each: {{value: {value}}}{more}}}\n"));
    let cases = [
        each("lst", ""),
        each("list", ", needs: {job: list, on: finish}"),
        each("list", ", needs: lst"),
        each("e", ""),
        each("q", ""),
        each("list, lines: x", ""),
        each("list", ", tmeout: 3, retry: '${item.t}'"),
        errors("    - {id: e, run: e, for_each: {value: list}}\n    - {id: f, run: f, needs: 'e[x]'}\n"),
        errors_in(folder.path(), "queues: {q: [{id: l, run: l, needs: e}, {id: e, run: e, for_each: {value: l}}]}"),
        errors_in(
            folder.path(),
            "queues: {q: [{id: l, run: l, for_each: [a]}, {id: e, run: e, for_each: {value: l}}]}",
        ),
    ];
    named_snapshots().bind(|| insta::assert_snapshot!("wrong_items_of_values", cases.concat()));
}

#[test]
fn a_value_that_is_no_list_of_items_says_why() {
    let too_many = json!((0..100_001).collect::<Vec<u32>>());
    let values = [
        json!({"a": 1}),
        json!("twelve"),
        json!("{}"),
        json!("[1, 2"),
        json!(format!("[{}", "1,".repeat(MAX_VALUE_BYTES / 2))),
        json!([1, 2, 1]),
        json!([{"id": "x", "n": 1}, {"id": "x", "n": 2}]),
        json!([[1]]),
        json!([{}]),
        json!([""]),
        too_many,
    ];
    let problems = values.iter().map(Some).chain([None]).map(|value| definition::check_item_list(value).unwrap_err());
    let problems: Vec<String> = problems.collect();
    named_snapshots().bind(|| insta::assert_snapshot!("wrong_item_lists", problems.join("\n")));
}

#[test]
fn errors_of_labels_and_of_the_time_to_settle_say_where_they_are() {
    let jobs = "queues:\n  q:\n    - {id: a, run: a, runs_on: {gpu: 1}}\n    - {id: b, run: b, runs_on: [3, 'two words']}\n    \
                - {id: c, run: c, for_each: {glob: 'in/*', settle: 3s}}\n    - {id: d, run: d, runs_on: [{a: 1}]}\n    - {id: e, run: e, runs_on: ''}\n";
    assert_report("labels_and_settle", jobs);
}

#[test]
fn rules_for_arrivals_are_always_in_the_same_order() {
    let folder = tempfile::tempdir().unwrap();
    let jobs: Vec<String> =
        (0..8).map(|n| format!("    - {{id: j{n}, run: x, for_each: {{watch: '{n}/*', settle: 1s}}}}\n")).collect();
    let yaml = format!("queues:\n  q:\n{}", jobs.concat());
    let (first, _) = read_in(folder.path(), &yaml);
    assert_eq!(first.arrivals.len(), 8);
    // A worker reads the file again when they change, and so would never stop reading it.
    assert_eq!(read_in(folder.path(), &yaml).0.arrivals, first.arrivals);
}
