//! Reads `expect`: by when a queue or a job should have succeeded.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::fields::ExpectField;
use super::problems::{Problem, Problems};
use super::schedule::{Zone, local_zone, read_zone};
use super::spanned_value::{Node, NodeKind, ScalarType};
use super::spelling::quoted;
use super::unknown_fields;
use super::value;
use super::value_path::ValuePath;
use crate::model::{Expectation, InvalidRecurrence, Recurrence, Schedule, parse_zone};
use crate::text;

/// What `expect` may be.
const FORMATS: &str = "a time of day such as `04:00`, `{within: 26h}`, or a list of times";
/// How times are written.
const TIME_HINT: &str =
    "write a time of day such as `04:00`, `mon-fri 04:00` or `04:00 Europe/Berlin`, or a cron expression";

/// How many expected times and due times are compared.
const MAX_COMPARED: usize = 16;

/// Reads `expect`.
pub(super) fn read_expect(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Arc<Expectation>> {
    let before = problems.count();
    let expectation = match &node.kind {
        NodeKind::Map(_) => read_fields(node, path, problems),
        NodeKind::Scalar(ScalarType::Text, _) | NodeKind::List(_) => {
            Some(Expectation::By(read_times(node, path, local_zone(), problems)))
        }
        _ => value::unexpected(node, path, FORMATS, problems),
    };
    expectation.filter(|_| problems.count() == before).map(Arc::new)
}

fn read_fields(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Expectation> {
    let zone = match node.get("timezone") {
        Some(zone) => read_zone(zone, &path.key("timezone"), problems).unwrap_or(Zone::UTC),
        None => local_zone(),
    };
    let (mut by, mut within) = (None, None);
    let mut zone_id = None;
    for entry in value::map(node, path, "a map", problems)? {
        let (node, path) = (&entry.value, &path.key(&entry.key.text));
        match ExpectField::from_name(&entry.key.text) {
            Some(ExpectField::By) => by = Some((entry.key.id, read_times(node, path, zone, problems))),
            Some(ExpectField::Within) => within = Some((entry.key.id, read_limit(node, path, problems))),
            Some(ExpectField::Timezone) => zone_id = Some(entry.key.id),
            None => unknown_fields::report_in(entry, ExpectField::ALL, path, problems),
        }
    }
    match (by, within) {
        (Some((_, times)), None) => Some(Expectation::By(times)),
        (None, Some((_, limit))) => {
            if let Some(id) = zone_id {
                let problem = Problem::new(id, &path.key("timezone"), "`within` has no time zone");
                problems.add(problem.hint("remove `timezone`, or write `by` with a time of day"));
            }
            limit.map(Expectation::Within)
        }
        (Some((by, _)), Some((within, _))) => {
            let (first, second) = (by.min(within), by.max(within));
            let problem = Problem::new(second, path, "`expect` can't have both `by` and `within`");
            problems.add(problem.with_related(first, "conflicts with this"));
            None
        }
        (None, None) => {
            let problem = Problem::new(node.id, path, "`expect` has neither `by` nor `within`");
            problems.add(
                problem.expected("expected `by` (a time of day) or `within` (the longest time between successes)"),
            );
            None
        }
    }
}

fn read_limit(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Duration> {
    let limit = value::duration(node, path, problems)?;
    if limit < Duration::from_secs(1) {
        problems.add(Problem::new(node.id, path, "`within` must be at least 1s"));
        return None;
    }
    Some(limit)
}

/// Reads one time or a list of times.
fn read_times(node: &Node<'_>, path: &ValuePath<'_>, zone: Zone, problems: &mut Problems) -> Vec<Recurrence> {
    let NodeKind::List(items) = &node.kind else {
        return read_time(node, path, zone, problems).into_iter().collect();
    };
    if items.is_empty() {
        problems.add(Problem::new(node.id, path, "no time is expected").hint("remove it, or write a time of day"));
    }
    let items = items.iter().enumerate();
    items.filter_map(|(index, node)| read_time(node, &path.item(index), zone, problems)).collect()
}

fn read_time(node: &Node<'_>, path: &ValuePath<'_>, zone: Zone, problems: &mut Problems) -> Option<Recurrence> {
    let NodeKind::Scalar(ScalarType::Text, text) = &node.kind else {
        return value::unexpected(node, path, "a time of day such as `04:00`", problems);
    };
    match parse_time(text, zone) {
        Ok(time) => return Some(time),
        Err(InvalidTime::Interval(interval)) => {
            let problem = Problem::new(node.id, path, format!("{} is not a time of day", quoted(text)));
            problems
                .add(problem.hint(format!("write `{{within: {interval}}}` for the longest time between successes")));
        }
        Err(InvalidTime::Unknown) => {
            problems.add(Problem::new(node.id, path, format!("invalid time {}", quoted(text))).hint(TIME_HINT));
        }
        Err(InvalidTime::Recurrence(error)) => report_time(error, node, path, problems),
    }
    None
}

/// Reports an invalid zone or expression. Its position is unknown, because the expression is not always as it is written.
fn report_time(error: InvalidRecurrence, node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) {
    let InvalidRecurrence { message, hint, .. } = error;
    let problem = Problem::new(node.id, path, message);
    problems.add(match hint {
        Some(hint) => problem.hint(hint),
        None => problem,
    });
}

/// Why a time is invalid.
enum InvalidTime {
    /// It is an interval.
    Interval(String),
    /// Its zone or its expression is invalid.
    Recurrence(InvalidRecurrence),
    /// It has no known form.
    Unknown,
}

/// Parses `04:00`, `mon-fri 04:00`, `04:00 Europe/Berlin` or a cron expression, each also after `TZ=NAME`.
fn parse_time(text: &str, zone: Zone) -> Result<Recurrence, InvalidTime> {
    let text = text.trim();
    if text::parse_duration(text).is_ok() {
        return Err(InvalidTime::Interval(text.to_owned()));
    }
    let mut words: Vec<&str> = text.split_whitespace().collect();
    let mut zone = zone;
    if let Some(name) = words.first().and_then(|word| word.strip_prefix("TZ=").or(word.strip_prefix("CRON_TZ="))) {
        zone = parse_zone(name).map_err(InvalidTime::Recurrence)?;
        words.remove(0);
    }
    if let ["@every", interval @ ..] = &words[..] {
        return Err(InvalidTime::Interval(interval.join(" ")));
    }
    if let Some(name) = words.last().filter(|_| words.len() > 1 && words.len() < 5)
        && time_of_day(name).is_none()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "/_+-".contains(c))
    {
        zone = parse_zone(name).map_err(InvalidTime::Recurrence)?;
        words.pop();
    }
    let expression = match words[..] {
        [time] if time.starts_with('@') => time.to_owned(),
        [time] => {
            let (hour, minute) = time_of_day(time).ok_or(InvalidTime::Unknown)?;
            format!("{minute} {hour} * * *")
        }
        [days, time] => {
            let (hour, minute) = time_of_day(time).ok_or(InvalidTime::Unknown)?;
            format!("{minute} {hour} * * {days}")
        }
        [_, _, _, _, _] => words.join(" "),
        _ => return Err(InvalidTime::Unknown),
    };
    Recurrence::parse(&expression, zone).map_err(InvalidTime::Recurrence)
}

/// The hour and the minute of `4:00` or `04:00`.
fn time_of_day(text: &str) -> Option<(u8, u8)> {
    let (hour, minute) = text.split_once(':')?;
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_time = is_number(hour) && is_number(minute) && hour.len() <= 2 && minute.len() == 2;
    let (hour, minute) = (hour.parse().ok()?, minute.parse().ok()?);
    (is_time && hour < 24 && minute < 60).then_some((hour, minute))
}

/// Reports an expectation that a schedule can't keep, however well its runs go.
pub(super) fn check_schedule(
    (expectation, id): (&Expectation, u32),
    (schedule, schedule_id): (&Schedule, u32),
    path: &ValuePath<'_>,
    problems: &mut Problems,
) {
    let Some((from, to)) = unkept_period(expectation, schedule) else { return };
    let (message, hint) = match expectation {
        Expectation::By(_) => (
            "nothing is scheduled between two of the expected times".to_owned(),
            "expect a success only after due times, such as `mon-fri 04:00`".to_owned(),
        ),
        Expectation::Within(limit) => {
            let gap = text::exact_duration((to - from).to_std().unwrap_or_default());
            let limit = text::exact_duration(*limit);
            (
                format!("{limit} is less than the time between two due times"),
                format!("write more than {gap}, or a time of day such as `mon-fri 04:00`"),
            )
        }
    };
    let problem = Problem::new(id, path, message).hint(hint);
    problems.add(problem.with_related(schedule_id, "the schedule is here"));
}

/// A period without a due time in which a success is expected.
fn unkept_period(expectation: &Expectation, schedule: &Schedule) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    // Any time does. This one is a Monday, and no clocks change in the weeks after it.
    let start = DateTime::from_timestamp(1_767_571_200, 0)?;
    match expectation {
        Expectation::By(_) => {
            let mut last = expectation.next_after(start, start)?;
            (0..MAX_COMPARED).find_map(|_| {
                let (from, to) = (last, expectation.next_after(last, start)?);
                last = to;
                schedule.next_after(from).is_none_or(|due| due >= to).then_some((from, to))
            })
        }
        Expectation::Within(limit) => {
            let mut last = schedule.next_after(start)?;
            (0..MAX_COMPARED).find_map(|_| {
                let (from, to) = (last, schedule.next_after(last)?);
                last = to;
                (to - from).to_std().is_ok_and(|gap| gap > *limit).then_some((from, to))
            })
        }
    }
}

/// Reports an `on_overdue` that never runs.
pub(super) fn report_useless_hook(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) {
    if let Some(hook) = node.get("on_overdue") {
        let problem = Problem::new(hook.id, &path.key("on_overdue"), "`on_overdue` without `expect`");
        problems.add(problem.hint("write by when a success is expected, such as `expect: 04:00`"));
    }
}
