//! `include`: what joins, what wins, and errors in the right file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use setlist::definition::{self, Error};
use setlist::model::{DesiredState, InputDeclaration, QueueId};
use tempfile::TempDir;

use super::{job_names, script};

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn read(folder: &Path) -> DesiredState {
    definition::read(&folder.join("jobs.yaml")).unwrap_or_else(|error| match error {
        Error::Invalid(diagnostics) => panic!("{}", diagnostics.render(false)),
        error => panic!("{error}"),
    })
}

fn report(folder: &Path) -> String {
    let Err(Error::Invalid(diagnostics)) = definition::read(&folder.join("jobs.yaml")) else { panic!("no errors") };
    let text = diagnostics.render(false).replace(&format!("{}/", folder.display()), "");
    // The name of the folder is random.
    text.replace(&folder.display().to_string(), "FOLDER")
}

const MAIN: &str = "\
include: [shared/base.yaml, web.yaml]
defaults:
  timeout: 5m
  env: {A: own}
pools: {gpu: 1}
secrets: [TOKEN]
queues:
  build:
    - {id: a, run: 'true', needs: web/serve}
";

const BASE: &str = "\
x-note: ignored
defaults:
  timeout: 1h
  retry: 2
  env: {A: base, B: base}
pools: {gpu: 2, licence: 1}
inputs: {env: staging}
secrets: [TOKEN, KEY]
";

const WEB: &str = "\
include: shared/base.yaml
queues:
  web:
    - {id: serve, command: [serve, '${inputs.env}'], uses: licence, cwd: public}
";

#[test]
fn what_other_files_define_joins_and_the_including_file_wins() {
    let folder = folder(&[("jobs.yaml", MAIN), ("shared/base.yaml", BASE), ("web.yaml", WEB)]);
    let desired = read(folder.path());
    let queues: Vec<&QueueId> = desired.queues.iter().map(|queue| &queue.id).collect();
    assert_eq!(queues, ["web", "build"].map(QueueId::from).iter().collect::<Vec<_>>(), "included ones come first");
    assert_eq!((job_names(&desired, 0), job_names(&desired, 1)), (vec!["serve"], vec!["a"]));
    for queue in &desired.queues {
        let job = &queue.jobs[0];
        let exec = &script(job).exec;
        let env: Vec<(&str, Option<&str>)> =
            exec.env.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        assert_eq!(env, [("A", Some("own")), ("B", Some("base"))]);
        assert_eq!(exec.timeout, Some(std::time::Duration::from_secs(300)), "{:?}", queue.id);
        let inputs: Vec<&InputDeclaration> = queue.settings.inputs.iter().collect();
        assert_eq!((inputs.len(), &*inputs[0].name), (1, "env"));
    }
    let pools: Vec<(&str, u32)> = desired.pools.iter().map(|(name, size)| (&**name, *size)).collect();
    assert_eq!(pools, [("gpu", 1), ("licence", 1)]);
    // Paths of jobs are relative to the site, whichever file they are in.
    assert_eq!(script(&desired.queues[0].jobs[0]).exec.cwd.as_deref(), Some(Path::new("public")));
}

#[test]
fn the_version_changes_with_an_included_file() {
    let folder = folder(&[("jobs.yaml", MAIN), ("shared/base.yaml", BASE), ("web.yaml", WEB)]);
    let before = read(folder.path()).version;
    assert_eq!(read(folder.path()).version, before);
    fs::write(folder.path().join("shared/base.yaml"), BASE.replace("retry: 2", "retry: 3")).unwrap();
    let after = read(folder.path()).version;
    assert_ne!(after, before);
    assert!(definition::has_items_from_elsewhere(&after));
    fs::write(folder.path().join("jobs.yaml"), "queues: {include: ['true']}\n").unwrap();
    assert!(!definition::has_items_from_elsewhere(&read(folder.path()).version), "a queue of this name is no include");
}

#[test]
fn places_are_in_the_file_that_has_the_job() {
    let folder = folder(&[("jobs.yaml", MAIN), ("shared/base.yaml", BASE), ("web.yaml", WEB)]);
    let place = |queue: &str, job: &str| definition::place_in_file(&folder.path().join("jobs.yaml"), queue, job);
    assert_eq!(place("web", "serve"), Some((folder.path().join("web.yaml"), 4)));
    assert_eq!(place("build", "a"), Some((folder.path().join("jobs.yaml"), 9)));
    assert_eq!(place("web", "other"), None);
}

#[test]
fn all_named_files_are_to_be_watched() {
    let folder =
        folder(&[("jobs.yaml", "include: [a.yaml, missing.yaml]\nqueues: {}\n"), ("a.yaml", "include: [b.yaml]")]);
    let read = definition::read_with_files(&folder.path().join("jobs.yaml"));
    assert!(read.desired.is_err());
    let names = ["a.yaml", "b.yaml", "missing.yaml"].map(|name| folder.path().join(name));
    assert_eq!(read.included, names);
}

#[test]
fn errors_are_in_the_right_file() {
    let folder = folder(&[
        (
            "jobs.yaml",
            "include: [a.yaml, b.yaml, broken.yaml, missing.yaml, open.yaml, latin.yaml, list.yaml, '']\n\
             queues:\n  build: [{id: x, run: 'true', needs: nothing}]\n",
        ),
        (
            "a.yaml",
            "include: [jobs.yaml, a.yaml]\npools: {gpu: 2, api: 3}\nqueues:\n  build: ['true']\n  \
             other:\n    - {id: slow, run: sleep 1, timeout: 10 parsecs}\n    - {id: uses, run: 'true', uses: ggu}\n",
        ),
        ("b.yaml", "quees: {}\npools: {gpu: 3, api: 3}\nsecrets: TOKEN\ndefaults: {retry: many}\n"),
        ("broken.yaml", "queues:\n  q: [\n"),
        ("open.yaml", "queues: {}\n"),
        ("latin.yaml", ""),
        ("list.yaml", "- a\n"),
    ]);
    fs::write(folder.path().join("latin.yaml"), b"queues: {q: [\"\xff\"]}\n").unwrap();
    fs::set_permissions(folder.path().join("open.yaml"), fs::Permissions::from_mode(0o666)).unwrap();
    let main = fs::read_to_string(folder.path().join("jobs.yaml")).unwrap();
    let errors = report(folder.path());
    fs::write(folder.path().join("jobs.yaml"), "include: {a: b}\nqueues: {}\n").unwrap();
    let errors = errors + "\n\n" + &report(folder.path());
    assert_errors("include_errors", &main, &errors);
}

fn assert_errors(name: &str, main: &str, errors: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(".");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(main);
    settings.bind(|| insta::assert_snapshot!(name, errors));
}

#[test]
fn an_error_that_depends_on_several_files_is_where_the_job_is() {
    let folder = folder(&[
        ("jobs.yaml", "include: a.yaml\npools: {gpu: 1}\nqueues: {}\n"),
        ("a.yaml", "queues:\n  q:\n    - {run: 'true', uses: ggu}\n"),
    ]);
    let errors = report(folder.path());
    assert!(errors.starts_with("error: no pool `ggu`\n --> a.yaml:3:27"), "{errors}");
    assert!(errors.contains("did you mean `gpu`?"), "{errors}");
}

#[test]
fn what_an_included_file_with_errors_would_define_is_not_reported_as_missing() {
    for (name, text) in [("missing.yaml", ""), ("broken.yaml", "queues: [\n")] {
        let folder = folder(&[("jobs.yaml", &*format!("include: {name}\n")), ("broken.yaml", text)]);
        let errors = report(folder.path());
        assert_eq!(errors.matches("error: ").count(), 1, "{errors}");
        assert!(!errors.contains("missing `queues`"), "{errors}");
        let main = format!("include: {name}\nqueues: {{q: [{{run: 'true', uses: gpu, needs: web/serve}}]}}\n");
        fs::write(folder.path().join("jobs.yaml"), main).unwrap();
        let errors = report(folder.path());
        assert_eq!(errors.matches("error: ").count(), 1, "{errors}");
    }
    let folder = folder(&[("jobs.yaml", "include: a.yaml\n"), ("a.yaml", "pools: {gpu: 1}\n")]);
    assert!(report(folder.path()).contains("missing `queues`"));
}

#[test]
fn a_file_of_another_kind_elsewhere_is_refused_without_its_content() {
    let main = "include: [link, ../broken, ../list, ../shared.yaml]\nqueues: {}\n";
    let folder = folder(&[
        ("site/jobs.yaml", main),
        ("shadow", "x-note: 1\nroot:$6$sesame:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\n"),
        ("broken", "sesame: [\n"),
        ("list", "- sesame\n"),
        ("shared.yaml", "queues: {q: [{run: 'true', tiemout: 3}]}\n"),
    ]);
    std::os::unix::fs::symlink("../shadow", folder.path().join("site/link")).unwrap();
    let errors = report(&folder.path().join("site"));
    assert!(!errors.contains("sesame") && !errors.contains("root"), "{errors}");
    assert_errors("include_errors_elsewhere", "with other files", &errors);
}

#[test]
fn not_too_many_files_are_included() {
    let names: Vec<String> = (0..101).map(|number| format!("part{number}.yaml")).collect();
    let main = format!("include: [{}]\nqueues: {{}}\n", names.join(", "));
    let mut files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "pools: {gpu: 1}\n")).collect();
    files.push(("jobs.yaml", &main));
    let folder = folder(&files);
    let text = report(folder.path());
    assert!(text.contains("more than 100 files are included"), "{text}");
}
