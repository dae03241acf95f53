//! `setlist grep`: searches the output of all kept runs, with the options and exit codes of `rg`.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::num::NonZero;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde::Serialize;

use super::error::CliError;
use super::exit::ExitStatus;
use super::grep_args::GrepArgs;
use super::json_records::write_json;
use super::log::jobs_of;
use super::open_site::OpenSite;
use super::ordered_output::OrderedOutput;
use super::queue_or_job::QueueOrJob;
use super::run_feed::{is_since, runs_of, time_before};
use super::safe_output;
use crate::clock;
use crate::store::StoreError;
use crate::store::log::{LinePattern, LineSearch, LogReader, OutputLine};
use crate::text;

/// More threads than this make it no faster.
const MAX_THREADS: usize = 8;
/// How many runs wait for a thread.
const MAX_WAITING: usize = 64;

/// A matching line as JSON.
#[derive(Serialize)]
struct MatchRecord<'a> {
    job: &'a str,
    number: u64,
    /// Which run of the job, counted from 1, as `setlist log --run` takes it.
    run: u32,
    /// `None` after a dropped part of the output whose lines were not counted.
    line: Option<u64>,
    text: &'a str,
    /// Where in the text the matches are, in bytes.
    matches: Vec<[usize; 2]>,
}

/// A run that is to be searched.
struct SearchedRun {
    /// Its position in the order in which results are printed.
    part: usize,
    path: String,
    number: u64,
    attempt: u32,
    log: LogReader,
}

/// Prints the lines that match; succeeds if there is one.
pub(super) fn grep(mut site: OpenSite, args: &GrepArgs, color: bool) -> Result<ExitStatus, CliError> {
    let pattern = LinePattern::new(&args.pattern, args.ignore_case, args.fixed_strings)
        .map_err(|error| CliError::Usage(format!("invalid pattern: {error}")))?;
    let state = site.site_state()?;
    let targets = if args.names.is_empty() && args.filter.is_empty() {
        state.queues().into_iter().map(|(id, _)| QueueOrJob::Queue(id.clone())).collect()
    } else {
        site.select_targets(&state, &args.names, &args.filter)?
    };
    let jobs = jobs_of(&targets, &state, site.store.as_mut())?;
    drop(state);
    let since = args.since.map(|since| time_before(clock::now(), since));
    let search = GrepSearch {
        args,
        pattern,
        color,
        before: args.context.unwrap_or(args.before_context),
        after: args.context.unwrap_or(args.after_context),
        has_match: AtomicBool::new(false),
        error: Mutex::new(None),
    };
    let separator = if search.shows_context() { "--\n" } else { "" };
    let output = OrderedOutput::new(safe_output::coloured_stdout(color), separator);
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS);
    let (runs, inbox) = sync_channel(MAX_WAITING);
    let inbox = Mutex::new(inbox);
    let found = thread::scope(|scope| -> Result<(), CliError> {
        // The threads end when this is dropped.
        let runs = runs;
        for _ in 0..threads {
            scope.spawn(|| search.work(&inbox, &output));
        }
        let mut part = 0;
        for job in &jobs {
            let kept = runs_of(site.store.as_mut(), job)?;
            for run in kept.iter().filter(|run| since.is_none_or(|since| is_since(run, since))) {
                let (path, log) = (text::sanitize_line(&job.path()), site.store.log_reader(run.id));
                let log = if run.end.is_some() { log.of_ended_run() } else { log };
                let searched = SearchedRun { part, path, number: job.id.0, attempt: run.attempt, log };
                if runs.send(searched).is_err() || search.has_failed() || output.has_failed() {
                    return Ok(());
                }
                part += 1;
            }
        }
        Ok(())
    });
    output.finish()?;
    found?;
    let GrepSearch { has_match, error, .. } = search;
    if let Some(error) = error.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error.into());
    }
    site.finish(if has_match.into_inner() { ExitStatus::Success } else { ExitStatus::JobFailed })
}

/// A search over several runs, by several threads.
struct GrepSearch<'a> {
    args: &'a GrepArgs,
    pattern: LinePattern,
    color: bool,
    before: usize,
    after: usize,
    has_match: AtomicBool,
    error: Mutex<Option<StoreError>>,
}

/// The search in one run, and what is printed of it.
struct RunSearch<'s, 'a, W> {
    search: &'s GrepSearch<'a>,
    run: &'s SearchedRun,
    out: W,
    matching: u64,
    /// The lines before the next match that are not printed yet.
    earlier: VecDeque<OutputLine<'static>>,
    /// How many lines after the last match are still to be printed.
    to_print: usize,
    /// Whether lines were printed, from which the next group is separated.
    has_printed: bool,
    last_printed: Option<u64>,
}

impl GrepSearch<'_> {
    /// Searches runs until there are no more.
    fn work<W: Write>(&self, inbox: &Mutex<Receiver<SearchedRun>>, output: &OrderedOutput<W>) {
        let mut buffer = Vec::new();
        loop {
            let next = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(mut run) = next else { return };
            // Dropping it completes the part, and the parts after it can be printed.
            let out = output.part(run.part);
            if self.has_failed() || output.has_failed() {
                continue;
            }
            match self.search_run(&mut run, &mut buffer, out) {
                Ok(true) => self.has_match.store(true, Ordering::Relaxed),
                Ok(false) => {}
                Err(error) => {
                    *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
            }
        }
    }

    fn has_failed(&self) -> bool {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Searches the output of a run; returns whether a line matches.
    fn search_run(&self, run: &mut SearchedRun, buffer: &mut Vec<u8>, out: impl Write) -> Result<bool, StoreError> {
        let mut log = run.log.reopen();
        let mut found = RunSearch {
            search: self,
            run,
            out,
            matching: 0,
            earlier: VecDeque::new(),
            to_print: 0,
            has_printed: false,
            last_printed: None,
        };
        // An error of the output is returned by `OrderedOutput::finish`.
        LineSearch::new(&self.pattern, self.shows_context())
            .run_in(buffer, &mut log, &mut |line| found.add_line(line).unwrap_or(ControlFlow::Break(())))?;
        let _ = found.finish();
        Ok(found.matching > 0)
    }

    /// Whether lines around matches are printed.
    fn shows_context(&self) -> bool {
        let is_quiet = self.args.count || self.args.runs_with_matches || self.args.json;
        !is_quiet && (self.before > 0 || self.after > 0)
    }
}

impl<W: Write> RunSearch<'_, '_, W> {
    fn add_line(&mut self, line: &OutputLine<'_>) -> io::Result<ControlFlow<()>> {
        if !line.is_match {
            if self.to_print > 0 {
                self.to_print -= 1;
                self.print_line(line)?;
            } else if self.search.before > 0 {
                if self.earlier.len() == self.search.before {
                    self.earlier.pop_front();
                }
                let text = line.text.clone().into_owned().into();
                self.earlier.push_back(OutputLine { text, ..*line });
            }
            return Ok(ControlFlow::Continue(()));
        }
        self.matching += 1;
        if self.search.args.runs_with_matches {
            return Ok(ControlFlow::Break(()));
        }
        if self.search.args.count {
            return Ok(ControlFlow::Continue(()));
        }
        if self.search.args.json {
            self.print_json(line)?;
        } else {
            for earlier in std::mem::take(&mut self.earlier) {
                self.print_line(&earlier)?;
            }
            self.to_print = self.search.after;
            self.print_line(line)?;
        }
        if self.matching == 1 {
            // The first one is shown at once.
            self.out.flush()?;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Prints what is known at the end.
    fn finish(&mut self) -> io::Result<()> {
        let SearchedRun { path, attempt, .. } = self.run;
        match self.search.args {
            GrepArgs { count: true, .. } if self.matching > 0 => {
                writeln!(self.out, "{path}:{attempt}:{}", self.matching)
            }
            GrepArgs { runs_with_matches: true, .. } if self.matching > 0 => writeln!(self.out, "{path}:{attempt}"),
            _ => Ok(()),
        }
    }

    /// Prints a line as `queue/name:RUN:LINE:text`; lines of the context have `-` in place of `:`.
    fn print_line(&mut self, line: &OutputLine<'_>) -> io::Result<()> {
        let follows = line.number.is_some() && self.last_printed.map(|last| last + 1) == line.number;
        if self.search.shows_context() && !follows && self.has_printed {
            writeln!(self.out, "--")?;
        }
        self.has_printed = true;
        self.last_printed = line.number;
        let SearchedRun { path, attempt, .. } = self.run;
        let (mark, content) = (if line.is_match { ':' } else { '-' }, &*line.text);
        let number = line.number.map_or_else(|| "?".to_owned(), |number| number.to_string());
        if !self.search.color {
            return writeln!(self.out, "{path}{mark}{attempt}{mark}{number}{mark}{content}");
        }
        write!(self.out, "\x1b[35m{path}\x1b[0m{mark}{attempt}{mark}\x1b[32m{number}\x1b[0m{mark}")?;
        let mut end = 0;
        for part in self.search.pattern.ranges(content) {
            let (before, matched) = (content.get(end..part.start), content.get(part.clone()));
            write!(self.out, "{}\x1b[1;31m{}\x1b[0m", before.unwrap_or_default(), matched.unwrap_or_default())?;
            end = part.end;
        }
        writeln!(self.out, "{}", content.get(end..).unwrap_or_default())
    }

    fn print_json(&mut self, line: &OutputLine<'_>) -> io::Result<()> {
        let matches = self.search.pattern.ranges(&line.text).into_iter().map(|part| [part.start, part.end]).collect();
        let SearchedRun { path, number, attempt, .. } = self.run;
        let record =
            MatchRecord { job: path, number: *number, run: *attempt, line: line.number, text: &line.text, matches };
        write_json(&mut self.out, &record).map_err(io::Error::other)
    }
}
