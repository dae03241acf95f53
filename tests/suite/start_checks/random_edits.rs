//! Random edits of many sources: exactly the jobs whose sources have another content run, and what depends on them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use setlist::model::{
    Command, Definition, DesiredQueue, DesiredState, Event, ExecOptions, FileRules, Job, JobId, JobRef, Need, Outcome,
    OutcomeCondition, QueueId, QueueMode, QueueSettings, RunReport, SchedulingOptions, Script, SkipKind, WorkerId,
    WorkerOptions,
};
use setlist::runner::{FileHashes, Launch, PtyOptions, observe_files};
use setlist::store::{MemoryStore, Store};
use tempfile::TempDir;

use crate::rng::{TestRng, iterations};

const SOURCES: usize = 1_000;
const SOURCES_PER_OBJECT: usize = 10;
const OBJECTS_PER_LIBRARY: usize = 10;

/// A project: sources are compiled into objects, these are collected in libraries, and all of these in a program.
struct Project {
    folder: TempDir,
    store: MemoryStore,
    worker: WorkerId,
    hashes: FileHashes,
    now: chrono::DateTime<chrono::Utc>,
}

fn queue() -> QueueId {
    "build".into()
}

/// A job that makes a file of its name.
fn job(name: &str, sources: Vec<String>, needs: &[String]) -> Arc<Definition> {
    let files = FileRules { sources, outputs: vec![name.to_owned()], ..FileRules::default() };
    let exec = ExecOptions { files: Some(Arc::new(files)), ..ExecOptions::default() };
    let mut definition = Definition::new(Script::shell(format!("make {name}")).with_exec(exec));
    let need =
        |needed: &String| Need { job: JobRef::Named(queue(), needed.as_str().into()), on: OutcomeCondition::Success };
    let needs = needs.iter().map(need).collect();
    (definition.name, definition.digest) = (Some(name.into()), Some(1));
    definition.scheduling = SchedulingOptions { needs, ..SchedulingOptions::default() }.into();
    Arc::new(definition)
}

impl Project {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let objects: Vec<String> = (0..SOURCES / SOURCES_PER_OBJECT).map(|nth| format!("object{nth}")).collect();
        let libraries: Vec<String> =
            (0..objects.len() / OBJECTS_PER_LIBRARY).map(|nth| format!("library{nth}")).collect();
        for (nth, object) in objects.iter().enumerate() {
            fs::create_dir_all(folder.path().join("src").join(object)).unwrap();
            for source in 0..SOURCES_PER_OBJECT {
                let number = nth * SOURCES_PER_OBJECT + source;
                fs::write(folder.path().join(format!("src/{object}/s{number}")), number.to_string()).unwrap();
            }
        }
        let compile = |object: &String| job(object, vec![format!("src/{object}/*")], &[]);
        let collect = |(library, objects): (&String, &[String])| job(library, objects.to_vec(), objects);
        let jobs = objects.iter().map(compile);
        let jobs = jobs.chain(libraries.iter().zip(objects.chunks(OBJECTS_PER_LIBRARY)).map(collect));
        let jobs = jobs.chain([job("program", libraries.clone(), &libraries)]).collect();
        let queues = vec![DesiredQueue { id: queue(), settings: QueueSettings::default(), jobs }];
        let mut store = MemoryStore::new(folder.path());
        let now = chrono::DateTime::UNIX_EPOCH;
        let plan = DesiredState { version: "1".to_owned(), queues, ..DesiredState::default() };
        let join = Command::Join { host: "here".to_owned(), pid: 1, queues: None, options: WorkerOptions::default() };
        let answers = store.execute(&[Command::Reconcile(Box::new(plan)), join], now).unwrap();
        let joined = answers.into_iter().flatten().flatten().find_map(|event| match event {
            Event::WorkerJoined { worker } => Some(worker.id),
            _ => None,
        });
        let hashes = FileHashes::new(folder.path().join("hashes"));
        Self { folder, store, worker: joined.unwrap(), hashes, now }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// What a job makes: the contents of its sources with their names.
    fn made(&self, sources: &[String]) -> String {
        let mut parts = BTreeMap::new();
        for source in sources {
            let folder = source.strip_suffix("/*");
            let names: Vec<String> = folder.map_or_else(
                || vec![source.clone()],
                |folder| {
                    let entries = fs::read_dir(self.path(folder)).unwrap();
                    entries.map(|entry| format!("{folder}/{}", entry.unwrap().file_name().to_str().unwrap())).collect()
                },
            );
            for name in names {
                parts.insert(name.clone(), fs::read_to_string(self.path(&name)).unwrap_or_default());
            }
        }
        let joined = parts.into_iter().map(|(name, content)| format!("{name}={content};")).collect::<Vec<_>>().concat();
        // Short, because a program contains everything.
        format!("{:x}", joined.bytes().fold(7_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte))))
    }

    /// Runs the job if it is not up to date; returns its report and whether it ran.
    fn attempt(&self, job: &Job) -> (RunReport, bool) {
        let rules = job.file_rules().unwrap();
        let launch = Launch {
            definition: Arc::clone(&job.definition),
            folder: self.folder.path().to_owned(),
            environment: None,
            env: Vec::new(),
            secrets: Vec::new(),
            tag: None,
            value_file: None,
            pty: PtyOptions::default(),
        };
        let observed = observe_files(&launch, rules, 0, &self.hashes, &|| false).unwrap();
        if job.stale_reasons(rules, &observed).is_empty() {
            let skipped = Outcome::Skipped { reason: "up to date".into(), by: SkipKind::UpToDate };
            return (RunReport::new(skipped), false);
        }
        fs::write(self.path(job.name().unwrap()), self.made(&rules.sources)).unwrap();
        (RunReport { sources: Some(Box::new(observed.sources)), ..RunReport::new(Outcome::Succeeded) }, true)
    }

    /// Processes all jobs again; returns the names of those that ran.
    fn process(&mut self) -> BTreeSet<String> {
        let finished: Vec<JobId> =
            self.store.load().unwrap().jobs().filter(|job| job.outcome().is_some()).map(|job| job.id).collect();
        let again = finished.into_iter().map(|job| Command::Reset { job });
        let commands: Vec<Command> = again.chain([Command::Process { queue: queue() }]).collect();
        assert!(self.store.execute(&commands, self.now).unwrap().iter().all(Result::is_ok));
        let mut ran = BTreeSet::new();
        loop {
            let claim = Command::Claim { worker: self.worker, queues: None };
            let Ok(events) = self.store.execute(&[claim], self.now).unwrap().remove(0) else { break };
            let [Event::Started { job, run }] = &events[..] else { panic!("{events:?}") };
            let started = self.store.job(*job).unwrap().unwrap();
            let (report, has_run) = self.attempt(&started);
            ran.extend(has_run.then(|| started.name().unwrap().to_owned()));
            let end = Command::EndRun { job: *job, run: run.id, report, on_failure: None };
            assert!(self.store.execute(&[end], self.now).unwrap()[0].is_ok());
        }
        let site = self.store.load().unwrap();
        assert_eq!(site.queue(&queue()).unwrap().mode, QueueMode::Idle);
        assert!(site.jobs().all(|job| job.outcome().is_some_and(Outcome::is_success)), "all are done");
        ran
    }

    /// Edits some sources at random; returns the objects whose sources have other contents.
    fn edit(&self, rng: &mut TestRng, edits: usize) -> BTreeSet<String> {
        let before: BTreeMap<String, BTreeMap<String, String>> = self.contents();
        for _ in 0..edits {
            let object = rng.in_range(0..SOURCES / SOURCES_PER_OBJECT);
            let source =
                format!("src/object{object}/s{}", object * SOURCES_PER_OBJECT + rng.in_range(0..SOURCES_PER_OBJECT));
            let path = self.path(&source);
            // The first source of an object stays, because a job without sources always runs.
            let is_first = source.ends_with('0');
            match rng.in_range(0..6) {
                0 => fs::write(path, rng.in_range(0..1000).to_string()).unwrap(),
                1 if !is_first => drop(fs::remove_file(path)),
                2 => fs::write(self.path(&format!("src/object{object}/new{}", rng.in_range(0..3))), "new").unwrap(),
                // The same content, in a new file or with another time.
                3 => replace(&path),
                4 if !is_first => drop(fs::rename(&path, path.with_extension("renamed"))),
                _ => fs::write(self.path(&format!("src/object{object}/.hidden")), rng.in_range(0..9).to_string())
                    .unwrap(),
            }
        }
        let after = self.contents();
        after
            .into_iter()
            .filter(|(object, files)| before.get(object) != Some(files))
            .map(|(object, _)| object)
            .collect()
    }

    fn contents(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let objects = (0..SOURCES / SOURCES_PER_OBJECT).map(|nth| format!("object{nth}"));
        let files = |object: &str| {
            let entries = fs::read_dir(self.path(&format!("src/{object}"))).unwrap().map(Result::unwrap);
            let names = entries.map(|entry| entry.file_name().into_string().unwrap());
            let names = names.filter(|name| !name.starts_with('.'));
            names
                .map(|name| (name.clone(), fs::read_to_string(self.path(&format!("src/{object}/{name}"))).unwrap()))
                .collect()
        };
        objects.map(|object| (object.clone(), files(&object))).collect()
    }
}

fn replace(path: &Path) {
    if let Ok(content) = fs::read(path) {
        fs::remove_file(path).unwrap();
        fs::write(path, content).unwrap();
    }
}

#[test]
fn exactly_the_jobs_with_other_sources_run_after_random_edits() {
    let mut rng = TestRng::new();
    let mut project = Project::new();
    assert_eq!(project.process().len(), 111, "everything runs first");
    assert_eq!(project.process(), BTreeSet::new());
    for _ in 0..iterations(12) {
        let edits = 1 + rng.in_range(0..4);
        let objects = project.edit(&mut rng, edits);
        let library = |object: &String| format!("library{}", object["object".len()..].parse::<usize>().unwrap() / 10);
        let mut expected: BTreeSet<String> = objects.iter().map(library).collect();
        expected.extend((!objects.is_empty()).then(|| "program".to_owned()));
        expected.extend(objects);
        assert_eq!(project.process(), expected);
    }
}
