//! `setlist history`: the kept runs of jobs, oldest first, as a table, CSV or JSON.

use std::io::{BufWriter, Write};
use std::time::Duration;

use clap::Args;
use clap_complete::ArgValueCandidates;

use super::candidates::targets;
use super::error::{CliError, warn};
use super::exit::ExitStatus;
use super::job_args::JobFilterArgs;
use super::json_records::{RunOfJobRecord, write_json};
use super::log::jobs_of;
use super::open_site::OpenSite;
use super::run_feed::{is_since, machines_of, runs_of, time_before};
use super::time_text::{iso_time, local_time};
use super::{safe_output, value_parsers};
use crate::clock;
use crate::model::{Exit, Job, Run, RunCircumstances, RunEnd, SlowRun, Usage, median, plain_text};
use crate::store::WorkerMachines;
use crate::text;

/// Arguments of `setlist history`.
#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    /// Queues and jobs: `queue/name`, numbers, `@last` or `@failed`.
    #[arg(required_unless_present_any = ["tag", "query"], value_name = "JOB|QUEUE", add = ArgValueCandidates::new(targets))]
    pub names: Vec<String>,
    #[command(flatten)]
    pub filter: JobFilterArgs,
    /// Only runs that were running in the last `12h`, `7d`…
    #[arg(long, value_name = "DURATION", value_parser = value_parsers::duration)]
    pub since: Option<Duration>,
    /// Print CSV with a header, for spreadsheets.
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// Print JSON, one object per run and line.
    #[arg(long)]
    pub json: bool,
}

/// The columns of the CSV.
const COLUMNS: [&str; 19] = [
    "job",
    "run",
    "run_id",
    "outcome",
    "exit_code",
    "signal",
    "started_at",
    "ended_at",
    "run_ms",
    "user_ms",
    "system_ms",
    "peak_memory",
    "read_bytes",
    "written_bytes",
    "value",
    "error",
    "cause",
    "peak_memory_exact",
    "machine",
];

/// On narrower terminals, there is no column for the processor time.
const WIDE_TERMINAL: usize = 100;

/// Prints the runs of jobs.
pub(super) fn history(mut site: OpenSite, args: &HistoryArgs) -> Result<ExitStatus, CliError> {
    let state = site.state_for(&args.names, &args.filter)?;
    let targets = site.select_targets(&state, &args.names, &args.filter)?;
    let jobs = jobs_of(&targets, &state, site.store.as_mut())?;
    let since = args.since.map(|since| time_before(clock::now(), since));
    let mut out = BufWriter::new(safe_output::stdout());
    if args.csv {
        writeln!(out, "{}", COLUMNS.join(","))?;
    }
    let mut has_run = false;
    for job in &jobs {
        let all = runs_of(site.store.as_mut(), job)?;
        let machines = machines_of(site.store.as_mut(), &all)?;
        let runs: Vec<&Run> = all.iter().filter(|run| since.is_none_or(|since| is_since(run, since))).collect();
        if !args.csv && !args.json && !runs.is_empty() {
            print_table(&mut out, job, (&all, &machines), &runs, has_run)?;
        }
        has_run |= !runs.is_empty();
        for run in &runs {
            if args.csv {
                writeln!(out, "{}", csv_row(job, run, machines.get(&run.worker)))?;
            } else if args.json {
                write_json(&mut out, &RunOfJobRecord::new(job, run, &machines))?;
            }
        }
    }
    out.flush()?;
    drop(out);
    if !has_run {
        warn("no runs");
    }
    site.finish(ExitStatus::Success)
}

/// Prints the runs of a job and what is usual.
fn print_table(
    out: &mut impl Write,
    job: &Job,
    (all, machines): (&[Run], &WorkerMachines),
    runs: &[&Run],
    has_printed: bool,
) -> Result<(), CliError> {
    let gap = if has_printed { "\n" } else { "" };
    // There is a column with machines only where some are known.
    let widths = machines.values().map(|machine| text::width(&text::sanitize_line(machine)));
    let width = widths.max().map(|width| width.max("MACHINE".len()));
    let machine_cell = |machine: &str| {
        let cell = |width| format!("{}  ", text::pad(&text::sanitize_line(machine), width, "…"));
        width.map(cell).unwrap_or_default()
    };
    writeln!(out, "{gap}{}  {}", job.id, text::sanitize_line(&job.path()))?;
    let terminal = safe_output::stdout_width();
    let is_narrow = terminal.is_some_and(|width| width < WIDE_TERMINAL);
    // What is left of a narrow terminal is for the result.
    let usage_cells = |cpu: &str, memory: &str| {
        if is_narrow { format!("{:>9}", memory.replace("at most ", "≤")) } else { format!("{cpu:>8}  {memory:>15}") }
    };
    let header = format!(
        "{:>5}  {:<19}  {:<11}  {:>8}  {}  {}RESULT",
        "RUN",
        "STARTED",
        "OUTCOME",
        "TOOK",
        usage_cells("CPU", "MEMORY"),
        machine_cell("MACHINE")
    );
    writeln!(out, "{}", safe_output::fit_line(&header, terminal))?;
    let now = clock::now();
    for run in runs {
        let end = run.end.as_ref();
        let usage = end.and_then(|end| end.usage.as_deref());
        let outcome = end.map_or("running", |end| end.outcome.as_str());
        let took = run.elapsed(now);
        let slow = SlowRun::find(run, took, all, RunCircumstances::of(job, run), |_| None);
        let mark = if slow.is_some() { "  (slow)" } else { "" };
        let cpu = usage.map(|usage| text::duration(usage.cpu())).unwrap_or_default();
        let memory = usage.map(Usage::memory_text).unwrap_or_default();
        let (started, took) = (local_time(run.started), text::duration(took));
        let result = text::sanitize_line(&result_text(end));
        let line = format!(
            "{:>5}  {started:<19}  {outcome:<11}  {took:>8}  {}  {}{result}{mark}",
            run.attempt,
            usage_cells(&cpu, &memory),
            machine_cell(machines.get(&run.worker).map_or("", String::as_str))
        );
        writeln!(out, "{}", safe_output::fit_line(line.trim_end(), terminal))?;
    }
    let has_succeeded = |run: &&&Run| run.end.as_ref().is_some_and(|end| end.outcome.is_success());
    let times: Vec<Duration> = runs.iter().filter(has_succeeded).filter_map(|run| run.duration()).collect();
    let counts = format!("{}, {} succeeded", text::count_noun(runs.len(), "run"), text::count(times.len()));
    match (times.iter().min(), median(times.iter().copied()), times.iter().max()) {
        (Some(shortest), Some(usual), Some(longest)) => {
            let [shortest, usual, longest] = [*shortest, usual, *longest].map(text::duration);
            writeln!(out, "{counts}: usually {usual}, {shortest} to {longest}")?;
        }
        _ => writeln!(out, "{counts}")?,
    }
    Ok(())
}

/// Why a run failed, or its value.
fn result_text(end: Option<&RunEnd>) -> String {
    let Some(end) = end else { return String::new() };
    end.failure_line().or_else(|| Some(plain_text(end.value.as_deref()?).into_owned())).unwrap_or_default()
}

fn csv_row(job: &Job, run: &Run, machine: Option<&String>) -> String {
    let end = run.end.as_ref();
    let usage = end.and_then(|end| end.usage.as_deref());
    let (code, signal) = match end.and_then(|end| end.exit) {
        Some(Exit::Code(code)) => (code.to_string(), String::new()),
        Some(Exit::Signal(signal)) => (String::new(), signal.to_string()),
        None => (String::new(), String::new()),
    };
    let millis = |duration: Duration| duration.as_millis().to_string();
    let io = usage.and_then(|usage| usage.io);
    let cells = [
        job.path(),
        run.attempt.to_string(),
        run.id.0.to_string(),
        end.map_or("running", |end| end.outcome.as_str()).to_owned(),
        code,
        signal,
        iso_time(run.started),
        end.map(|end| iso_time(end.at)).unwrap_or_default(),
        run.duration().map(millis).unwrap_or_default(),
        usage.map(|usage| millis(usage.user)).unwrap_or_default(),
        usage.map(|usage| millis(usage.system)).unwrap_or_default(),
        usage.map(|usage| usage.peak_memory.to_string()).unwrap_or_default(),
        io.map(|io| io.read.to_string()).unwrap_or_default(),
        io.map(|io| io.written.to_string()).unwrap_or_default(),
        end.and_then(|end| end.value.as_deref()).map(|value| plain_text(value).into_owned()).unwrap_or_default(),
        end.and_then(RunEnd::failure_text).unwrap_or_default(),
        end.and_then(|end| Some(end.cause.as_deref()?.kind.as_str())).unwrap_or_default().to_owned(),
        usage.map(|usage| (!usage.is_peak_bound).to_string()).unwrap_or_default(),
        machine.cloned().unwrap_or_default(),
    ];
    cells.map(|cell| csv_cell(&cell)).join(",")
}

/// A cell as in RFC 4180. A text that a spreadsheet would take for a formula starts with a quotation mark.
fn csv_cell(cell: &str) -> String {
    let is_number = cell.parse::<f64>().is_ok();
    let is_formula = !is_number && cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let cell = if is_formula { format!("'{cell}") } else { cell.to_owned() };
    if cell.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let table = [
            ("plain", "plain"),
            ("-1.5", "-1.5"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+2", "'=1+2"),
            ("\n=1+2", "\"'\n=1+2\""),
            ("-cmd", "'-cmd"),
        ];
        for (cell, expected) in table {
            assert_eq!(csv_cell(cell), expected);
        }
    }
}
