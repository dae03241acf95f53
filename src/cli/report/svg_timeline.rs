//! The timeline of an HTML report: for each queue how busy it was, and below it a row for each of its jobs.

use std::io::Write;

use chrono::{DateTime, Local, TimeDelta, Utc};

use super::gather::{JobActivity, QueueActivity, ReportData, RunBar, is_failure};
use crate::cli::error::CliError;
use crate::text::{self, escape_line, escape_markup};

/// How many jobs have a row: those that failed, and those that took longest.
const MAX_ROWS: usize = 60;
/// How many queues have a row.
const MAX_QUEUES: usize = 30;
/// Signs are drawn on bars up to this many in a row.
const MAX_SIGNS: usize = 100;
const LABEL_WIDTH: f64 = 230.0;
const WIDTH: f64 = 1200.0;
const ROW_HEIGHT: f64 = 18.0;
/// The longest label, in cells.
const LABEL_CELLS: usize = 34;
/// Distances between the labels of the time axis, in minutes; beyond, there are whole days.
const STEPS: [i64; 12] = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440];
/// How many labels the axis has at most.
const MAX_TICKS: i64 = 10;

/// The scale of the time.
struct TimeScale {
    start: i64,
    end: i64,
}

/// Draws the timeline.
pub(super) fn write(out: &mut dyn Write, data: &ReportData) -> Result<(), CliError> {
    let rows: Vec<&JobActivity> = data.jobs.iter().filter(|job| !job.bars.is_empty()).take(MAX_ROWS).collect();
    let has_activity = |queue: &&QueueActivity| queue.activity.intervals().next().is_some();
    let queues: Vec<&QueueActivity> = data.queues.iter().filter(has_activity).take(MAX_QUEUES).collect();
    let scale = TimeScale::of(&rows, data);
    let mut body = Vec::new();
    let mut y = ROW_HEIGHT + 4.0;
    let mut drawn = 0;
    for queue in queues {
        write_queue(&mut body, queue, &scale, y)?;
        y += ROW_HEIGHT + 2.0;
        let mut jobs: Vec<&&JobActivity> = rows.iter().filter(|job| job.queue == queue.id).collect();
        drawn += jobs.len() as u64;
        jobs.sort_by_key(|job| job.bars.first().map(|bar| bar.start));
        for job in jobs {
            write_row(&mut body, job, &scale, data, y)?;
            y += ROW_HEIGHT;
        }
    }
    writeln!(
        out,
        "<div class=\"scroll\"><svg id=\"timeline\" viewBox=\"0 0 {WIDTH} {y}\" style=\"width:100%;min-width:50rem\" \
         role=\"img\" aria-label=\"Timeline\">"
    )?;
    scale.write_axis(out, y)?;
    out.write_all(&body)?;
    writeln!(out, "</svg></div>")?;
    let left_out = data.job_count.saturating_sub(drawn);
    if left_out > 0 {
        let jobs = text::count_noun(left_out, "job");
        writeln!(
            out,
            "<p class=\"dim\">The timeline leaves out {jobs}: jobs that failed and those that took longest come first.</p>"
        )?;
    }
    Ok(())
}

/// Draws the name of a queue, and how busy it was.
fn write_queue(out: &mut Vec<u8>, queue: &QueueActivity, scale: &TimeScale, y: f64) -> Result<(), CliError> {
    let name = label(queue.id.as_str());
    writeln!(out, "<text class=\"head\" x=\"0\" y=\"{:.0}\">{name}</text>", y + 13.0)?;
    let highest = queue.activity.intervals().map(|part| part.level).fold(0.001, f64::max);
    for part in queue.activity.intervals() {
        let (x, width) = scale.span(part.start, part.end);
        let height = (part.level / highest * (ROW_HEIGHT - 4.0)).max(1.0);
        let top = y + ROW_HEIGHT - 2.0 - height;
        write!(out, "<rect class=\"busy\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>")?;
        if part.failed > 0 {
            let count = text::count_noun(part.failed, "failure");
            let x = x + width / 2.0;
            write!(out, "<circle class=\"failed\" cx=\"{x:.1}\" cy=\"{:.1}\" r=\"2\">", y + 2.0)?;
            write!(out, "<title>{count}</title></circle>")?;
        }
    }
    Ok(writeln!(out)?)
}

/// Draws the runs of a job.
fn write_row(
    out: &mut Vec<u8>,
    job: &JobActivity,
    scale: &TimeScale,
    data: &ReportData,
    y: f64,
) -> Result<(), CliError> {
    let name = job.path.strip_prefix(&format!("{}/", job.queue)).unwrap_or(&job.path);
    let (name, full) = (label(name), escape_line(&job.path));
    writeln!(out, "<text x=\"12\" y=\"{:.0}\"><title>{full}</title>{name}</text>", y + 13.0)?;
    let (top, height) = (y + 3.0, ROW_HEIGHT - 6.0);
    for bar in &job.bars {
        if let Some(from) = bar.waited_from {
            let (x, width) = scale.span(from.timestamp_millis(), bar.start.timestamp_millis());
            let (top, height) = (top + height / 2.0 - 1.0, 2.0);
            write!(
                out,
                "<rect class=\"wait\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
            )?;
        }
        let (x, width) = scale.span(bar.start.timestamp_millis(), bar.end.timestamp_millis());
        let several = if bar.runs > 1 { " several" } else { "" };
        let link = is_failure(bar.outcome) && data.failures.iter().any(|failure| failure.run == bar.run);
        if link {
            write!(out, "<a href=\"#run-{}\">", bar.run.0)?;
        }
        write!(
            out,
            "<rect class=\"bar {}{several}\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             rx=\"1\"><title>{full}: {}</title></rect>",
            bar.outcome,
            describe(bar),
        )?;
        if is_failure(bar.outcome) && job.bars.len() <= MAX_SIGNS {
            write!(out, "<text class=\"sign\" x=\"{:.1}\" y=\"{:.1}\">✗</text>", x + width + 1.0, y + 12.0)?;
        }
        if link {
            write!(out, "</a>")?;
        }
    }
    Ok(writeln!(out)?)
}

fn describe(bar: &RunBar) -> String {
    let time = |at: DateTime<Utc>| at.with_timezone(&Local).format("%H:%M:%S").to_string();
    let took = text::duration((bar.end - bar.start).to_std().unwrap_or_default());
    let runs = if bar.runs > 1 { format!("{}, ", text::count_noun(bar.runs, "run")) } else { String::new() };
    format!("{runs}{}, {} to {}, {took}", bar.outcome, time(bar.start), time(bar.end))
}

fn label(name: &str) -> String {
    escape_markup(&text::fit_middle(&text::sanitize_line(name), LABEL_CELLS, None, text::ELLIPSIS))
}

impl TimeScale {
    /// From the first start to the last end.
    fn of(rows: &[&JobActivity], data: &ReportData) -> Self {
        let bars = || rows.iter().flat_map(|job| &job.bars);
        let busy = || data.queues.iter().flat_map(|queue| queue.activity.intervals());
        let start = bars().map(|bar| bar.start.timestamp_millis()).chain(busy().map(|part| part.start)).min();
        let end = bars().map(|bar| bar.end.timestamp_millis()).chain(busy().map(|part| part.end)).max();
        let start = start.unwrap_or_default().max(data.period.since.timestamp_millis());
        Self { start, end: end.unwrap_or_default().max(start + 1000) }
    }

    /// Where a time is drawn.
    #[expect(clippy::cast_precision_loss, reason = "it is drawn")]
    fn x(&self, millis: i64) -> f64 {
        let part = (millis - self.start) as f64 / (self.end - self.start) as f64;
        LABEL_WIDTH + part.clamp(0.0, 1.0) * (WIDTH - LABEL_WIDTH - 14.0)
    }

    /// Where a period starts, and how wide it is: at least as wide that it can be seen.
    fn span(&self, start: i64, end: i64) -> (f64, f64) {
        let x = self.x(start);
        (x, (self.x(end) - x).max(1.5))
    }

    /// Draws lines at round times, with their labels.
    fn write_axis(&self, out: &mut dyn Write, height: f64) -> Result<(), CliError> {
        let minutes = (self.end - self.start) / 60_000;
        let days = minutes / 1440 / MAX_TICKS + 1;
        let step = STEPS.into_iter().find(|step| minutes / step <= MAX_TICKS).unwrap_or(days * 1440);
        let format = if minutes < 10 {
            "%H:%M:%S"
        } else if step < 1440 {
            "%H:%M"
        } else {
            "%m-%d"
        };
        let Some(start) = DateTime::from_timestamp_millis(self.start) else { return Ok(()) };
        let midnight = start.with_timezone(&Local).date_naive().and_hms_opt(0, 0, 0).unwrap_or_default();
        let midnight = midnight.and_local_timezone(Local).earliest().map_or(start, |time| time.to_utc());
        let step = TimeDelta::minutes(step);
        let passed = (start - midnight).num_milliseconds().div_euclid(step.num_milliseconds());
        let first = i32::try_from(passed + 1).unwrap_or_default();
        let mut ticks: Vec<DateTime<Utc>> = vec![start];
        ticks.extend(
            (0..).map(|nth| midnight + step * (first + nth)).take_while(|time| time.timestamp_millis() < self.end),
        );
        let mut last = f64::MIN;
        for tick in ticks {
            let x = self.x(tick.timestamp_millis());
            if x - last < 55.0 {
                continue;
            }
            last = x;
            let shown = tick.with_timezone(&Local).format(format);
            write!(out, "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"16\" y2=\"{height:.0}\"/>")?;
            writeln!(out, "<text class=\"axis\" x=\"{x:.1}\" y=\"12\">{shown}</text>")?;
        }
        Ok(())
    }
}
