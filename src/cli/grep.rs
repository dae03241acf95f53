//! `setlist grep`: searches the output of all kept runs, with the manners of `rg`.

use std::collections::VecDeque;
use std::io::{BufWriter, Stdout, Write};
use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder};
use serde::Serialize;

use super::error::CliError;
use super::exit::ExitStatus;
use super::grep_args::GrepArgs;
use super::json_records::write_json;
use super::log::jobs_of;
use super::open_site::OpenSite;
use super::safe_output::{self, SafeWriter};
use super::target::Target;
use crate::clock;
use crate::model::{Job, Run};
use crate::store::log::LogReader;
use crate::text;

/// How much of an output is read at once.
const CHUNK_BYTES: usize = 256 * 1024;
/// Longer lines are searched in parts of this length, so that memory is bounded. By default, no output is as long.
const MAX_LINE_BYTES: usize = 32 * 1024 * 1024;

/// A matching line as JSON.
#[derive(Serialize)]
struct MatchRecord<'a> {
    job: &'a str,
    number: u64,
    /// Which run of the job, counted from 1, as `setlist log --run` takes it.
    run: u32,
    line: u64,
    text: &'a str,
    /// Where in the text the matches are, in bytes.
    matches: Vec<[usize; 2]>,
}

/// Prints the lines that match; succeeds if there is one.
pub(super) fn grep(mut site: OpenSite, args: &GrepArgs, color: bool) -> Result<ExitStatus, CliError> {
    let regex = pattern(args)?;
    let state = site.site_state()?;
    let targets = if args.names.is_empty() && args.filter.is_empty() {
        state.queues().into_iter().map(|(id, _)| Target::Queue(id.clone())).collect()
    } else {
        site.select_targets(&state, &args.names, &args.filter)?
    };
    let jobs = jobs_of(&targets, &state, site.store.as_mut())?;
    let since = args.since.map(|since| clock::now() - since);
    let mut search = GrepSearch {
        args,
        regex,
        color,
        before: args.context.unwrap_or(args.before_context),
        after: args.context.unwrap_or(args.after_context),
        out: BufWriter::new(safe_output::coloured_stdout(color)),
        has_printed: false,
    };
    let mut has_match = false;
    for job in &jobs {
        let runs =
            if job.attempts > 1 { site.store.runs(job.id)? } else { Vec::from_iter(job.last_run.as_deref().cloned()) };
        for run in runs {
            if run.end.as_ref().is_some_and(|end| since.is_some_and(|since| end.at < since)) {
                continue;
            }
            has_match |= search.search_run(job, &run, site.store.log_reader(run.id))?;
        }
    }
    search.out.flush()?;
    site.finish(if has_match { ExitStatus::Success } else { ExitStatus::JobFailed })
}

fn pattern(args: &GrepArgs) -> Result<Regex, CliError> {
    let pattern = if args.fixed_strings { regex::escape(&args.pattern) } else { args.pattern.clone() };
    let built = RegexBuilder::new(&pattern).case_insensitive(args.ignore_case).build();
    built.map_err(|error| CliError::Usage(format!("invalid pattern: {error}")))
}

/// A search over several runs.
struct GrepSearch<'a> {
    args: &'a GrepArgs,
    regex: Regex,
    color: bool,
    before: usize,
    after: usize,
    out: BufWriter<SafeWriter<Stdout>>,
    /// Whether lines were printed, from which the next group is separated.
    has_printed: bool,
}

/// The state of the search in one run.
#[derive(Default)]
struct RunSearch {
    line: u64,
    matching: u64,
    /// The lines before the next match that are not printed yet.
    earlier: VecDeque<(u64, String)>,
    /// How many lines after the last match are still to be printed.
    to_print: usize,
    last_printed: Option<u64>,
}

impl GrepSearch<'_> {
    /// Searches the output of a run; returns whether a line matches.
    fn search_run(&mut self, job: &Job, run: &Run, mut log: LogReader) -> Result<bool, CliError> {
        let (mut buffer, mut pending) = (vec![0; CHUNK_BYTES], Vec::new());
        let (mut offset, mut found) = (0, RunSearch::default());
        loop {
            let chunk = log.read_at(offset, &mut buffer)?;
            if chunk.len == 0 {
                break;
            }
            if chunk.offset > offset && !pending.is_empty() {
                // A part of the output was dropped here.
                let rest = std::mem::take(&mut pending);
                self.search_line(&rest, job, run, &mut found)?;
            }
            offset = chunk.offset + u64::try_from(chunk.len).unwrap_or(u64::MAX);
            pending.extend_from_slice(buffer.get(..chunk.len).unwrap_or_default());
            let mut start = 0;
            while let Some(end) = memchr::memchr(b'\n', &pending[start..]) {
                self.search_line(&pending[start..start + end], job, run, &mut found)?;
                start += end + 1;
                if self.args.runs_with_matches && found.matching > 0 {
                    break;
                }
            }
            pending.drain(..start);
            if self.args.runs_with_matches && found.matching > 0 {
                pending.clear();
                break;
            }
            if pending.len() > MAX_LINE_BYTES {
                let rest = std::mem::take(&mut pending);
                self.search_line(&rest, job, run, &mut found)?;
            }
        }
        if !pending.is_empty() {
            self.search_line(&pending, job, run, &mut found)?;
        }
        let path = text::sanitize_line(&job.path());
        if found.matching > 0 && self.args.count {
            writeln!(self.out, "{path}:{}:{}", run.attempt, found.matching)?;
        } else if found.matching > 0 && self.args.runs_with_matches {
            writeln!(self.out, "{path}:{}", run.attempt)?;
        }
        Ok(found.matching > 0)
    }

    fn search_line(&mut self, line: &[u8], job: &Job, run: &Run, found: &mut RunSearch) -> Result<(), CliError> {
        found.line += 1;
        // Colours and other escape sequences are not part of what a line says.
        let is_plain = line.iter().all(|byte| matches!(byte, b' '..=b'~'));
        let clean = (!is_plain).then(|| text::sanitize_line(&String::from_utf8_lossy(line)));
        let searched = clean.as_deref().map_or(line, str::as_bytes);
        let is_quiet = self.args.count || self.args.runs_with_matches;
        if !self.regex.is_match(searched) {
            if !is_quiet && found.to_print > 0 {
                found.to_print -= 1;
                return self.print_line(&String::from_utf8_lossy(searched), found.line, false, job, run, found);
            }
            if !is_quiet && self.before > 0 {
                if found.earlier.len() == self.before {
                    found.earlier.pop_front();
                }
                found.earlier.push_back((found.line, String::from_utf8_lossy(searched).into_owned()));
            }
            return Ok(());
        }
        found.matching += 1;
        if is_quiet {
            return Ok(());
        }
        let content = String::from_utf8_lossy(searched).into_owned();
        if self.args.json {
            return self.print_json(&content, found.line, job, run);
        }
        for (number, earlier) in std::mem::take(&mut found.earlier) {
            self.print_line(&earlier, number, false, job, run, found)?;
        }
        found.to_print = self.after;
        self.print_line(&content, found.line, true, job, run, found)
    }

    /// Prints a line as `queue/name:RUN:LINE:text`; lines of the context have `-` in place of `:`.
    fn print_line(
        &mut self,
        content: &str,
        number: u64,
        is_match: bool,
        job: &Job,
        run: &Run,
        found: &mut RunSearch,
    ) -> Result<(), CliError> {
        let has_context = self.before > 0 || self.after > 0;
        if has_context && self.has_printed && found.last_printed.is_none_or(|last| last + 1 != number) {
            writeln!(self.out, "--")?;
        }
        (self.has_printed, found.last_printed) = (true, Some(number));
        let path = text::sanitize_line(&job.path());
        let (attempt, mark) = (run.attempt, if is_match { ':' } else { '-' });
        if !self.color {
            writeln!(self.out, "{path}{mark}{attempt}{mark}{number}{mark}{content}")?;
            return Ok(());
        }
        write!(self.out, "\x1b[35m{path}\x1b[0m{mark}{attempt}{mark}\x1b[32m{number}\x1b[0m{mark}")?;
        let mut end = 0;
        for part in self.matches(content) {
            let (before, matched) = (content.get(end..part.start), content.get(part.clone()));
            write!(self.out, "{}\x1b[1;31m{}\x1b[0m", before.unwrap_or_default(), matched.unwrap_or_default())?;
            end = part.end;
        }
        writeln!(self.out, "{}", content.get(end..).unwrap_or_default())?;
        Ok(())
    }

    fn print_json(&mut self, content: &str, line: u64, job: &Job, run: &Run) -> Result<(), CliError> {
        let matches = self.matches(content).into_iter().map(|part| [part.start, part.end]).collect();
        let job_path = job.path();
        let record = MatchRecord { job: &job_path, number: job.id.0, run: run.attempt, line, text: content, matches };
        write_json(&mut self.out, &record)
    }

    fn matches(&self, content: &str) -> Vec<Range<usize>> {
        self.regex.find_iter(content.as_bytes()).map(|found| found.range()).collect()
    }
}
