//! Reads `schedule`: a cron expression, a list of them, or a map with options.

use std::env;
use std::sync::Arc;
use std::time::Duration;

use super::fields::ScheduleField;
use super::problems::{Problem, Problems};
use super::spanned_value::{Node, NodeKind, ScalarType};
use super::spelling::quoted;
use super::unknown_fields;
use super::value;
use super::value_path::ValuePath;
use crate::model::{InvalidRecurrence, MissedPolicy, OverlapPolicy, Recurrence, Schedule, parse_zone};

/// The keywords of `missed`.
pub(super) const MISSED_VALUES: [(&str, MissedPolicy); 3] =
    [("skip", MissedPolicy::Skip), ("once", MissedPolicy::Once), ("all", MissedPolicy::All)];

/// The keywords of `overlap`.
pub(super) const OVERLAP_VALUES: [(&str, OverlapPolicy); 2] =
    [("skip", OverlapPolicy::Skip), ("wait", OverlapPolicy::Wait)];

/// The longest jitter. Longer delays are mistakes.
const MAX_JITTER: Duration = Duration::from_secs(24 * 60 * 60);

/// The type of a time zone.
pub(super) type Zone = chrono_tz::Tz;

/// Reads `schedule`.
pub(super) fn read_schedule(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Arc<Schedule>> {
    let before = problems.count();
    let mut schedule = Schedule {
        times: Vec::new(),
        jitter: Duration::ZERO,
        missed: MissedPolicy::Once,
        overlap: OverlapPolicy::Skip,
    };
    match &node.kind {
        NodeKind::Map(_) => read_fields(&mut schedule, node, path, problems),
        _ => schedule.times = read_times(node, path, local_zone(), problems),
    }
    (problems.count() == before).then(|| Arc::new(schedule))
}

fn read_fields(schedule: &mut Schedule, node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) {
    let zone = match node.get("timezone") {
        Some(zone) => read_zone(zone, &path.key("timezone"), problems),
        None => Some(local_zone()),
    };
    for entry in value::map(node, path, "a map", problems).unwrap_or_default() {
        let (node, path) = (&entry.value, &path.key(&entry.key.text));
        match ScheduleField::from_name(&entry.key.text) {
            // Without a known zone, the expressions are still checked.
            Some(ScheduleField::Cron) => schedule.times = read_times(node, path, zone.unwrap_or(Zone::UTC), problems),
            // Read before the expressions.
            Some(ScheduleField::Timezone) => {}
            Some(ScheduleField::Jitter) => schedule.jitter = read_jitter(node, path, problems).unwrap_or_default(),
            Some(ScheduleField::Missed) => {
                schedule.missed = value::keyword(node, path, &MISSED_VALUES, problems).unwrap_or_default();
            }
            Some(ScheduleField::Overlap) => {
                schedule.overlap = value::keyword(node, path, &OVERLAP_VALUES, problems).unwrap_or_default();
            }
            None => unknown_fields::report_in(entry, ScheduleField::ALL, path, problems),
        }
    }
    if node.get("cron").is_none() {
        let problem = Problem::new(node.id, path, "missing `cron`");
        problems.add(problem.expected("expected `cron`: an expression such as `30 2 * * *`, or a list of them"));
    }
}

/// Reads one expression or a list of expressions.
fn read_times(node: &Node<'_>, path: &ValuePath<'_>, zone: Zone, problems: &mut Problems) -> Vec<Recurrence> {
    let NodeKind::List(items) = &node.kind else {
        return read_time(node, path, zone, problems).into_iter().collect();
    };
    if items.is_empty() {
        problems.add(Problem::new(node.id, path, "the schedule is empty").hint("remove it, or write an expression"));
    }
    let mut times: Vec<(Recurrence, u32)> = Vec::new();
    for (index, node) in items.iter().enumerate() {
        let path = path.item(index);
        let Some(time) = read_time(node, &path, zone, problems) else { continue };
        match times.iter().find(|(known, _)| *known == time) {
            Some((_, first)) => {
                let problem =
                    Problem::new(node.id, &path, format!("duplicate expression {}", quoted(time.expression())));
                problems.add(problem.with_related(*first, "first used here"));
            }
            None => times.push((time, node.id)),
        }
    }
    times.into_iter().map(|(time, _)| time).collect()
}

fn read_time(node: &Node<'_>, path: &ValuePath<'_>, zone: Zone, problems: &mut Problems) -> Option<Recurrence> {
    let NodeKind::Scalar(ScalarType::Text, text) = &node.kind else {
        return value::unexpected(node, path, "a cron expression such as `30 2 * * *`, a list, or a map", problems);
    };
    Recurrence::parse(text, zone).map_err(|error| report(error, text, node, path, problems)).ok()
}

/// Reads the name of a time zone.
pub(super) fn read_zone(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Zone> {
    let name = value::text(node, path, problems)?;
    parse_zone(&name).map_err(|error| report(error, &name, node, path, problems)).ok()
}

fn report(error: InvalidRecurrence, text: &str, node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) {
    let InvalidRecurrence { span, message, hint } = error;
    let problem = Problem::new(node.id, path, message).in_part(text, span);
    problems.add(match hint {
        Some(hint) => problem.hint(hint),
        None => problem,
    });
}

fn read_jitter(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Duration> {
    let jitter = value::duration(node, path, problems)?;
    if jitter > MAX_JITTER {
        problems.add(Problem::new(node.id, path, "the jitter is longer than a day").hint("write `1d` at most"));
        return None;
    }
    Some(jitter)
}

/// The time zone of this machine, or UTC if it has none with a name.
pub(super) fn local_zone() -> Zone {
    let variable = env::var("TZ").ok();
    let name = match variable.as_deref().map(|name| name.trim_start_matches(':')) {
        Some(name) => Some(name.to_owned()),
        None => iana_time_zone::get_timezone().ok(),
    };
    name.and_then(|name| parse_zone(&name).ok()).unwrap_or(Zone::UTC)
}
