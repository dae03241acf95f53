//! Times that recur: cron expressions and fixed intervals. `croner` parses and computes the expressions.

use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, SubsecRound, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use serde::{Deserialize, Serialize};

use crate::text;

/// An expression such as `30 2 * * 1-5`, `@daily` or `@every 10m`, in a time zone.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "WrittenRecurrence", into = "WrittenRecurrence")]
pub struct Recurrence {
    expression: String,
    zone: Tz,
    rule: Rule,
    computed: ComputedTimes,
}

/// Why an expression is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRecurrence {
    /// The bytes of the text that are wrong.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

#[derive(Clone, Debug)]
enum Rule {
    /// Matches the time that clocks show. The pattern is boxed because it is large.
    WallClock(Box<Cron>),
    /// Matches every hour of the day, so that it has no gap and no repetition when clocks change.
    Hourly(Box<Cron>),
    /// A fixed grid that starts at 1970-01-01 00:00 UTC.
    Interval(TimeDelta),
}

/// What is wrong with a part of a text.
struct Fault<'t> {
    part: &'t str,
    message: String,
    hint: Option<String>,
}

/// The times that were computed last, each with the time after which it is the next. Searching for a time takes much
/// longer, and the same ones are asked for again and again: by each frame of a screen, and whenever a worker looks for
/// work.
#[derive(Debug, Default)]
struct ComputedTimes(Mutex<[Option<ComputedTime>; 2]>);

/// A time, and the next one after it.
type ComputedTime = (DateTime<Utc>, DateTime<Utc>);

/// A recurrence as it is stored.
#[derive(Serialize, Deserialize)]
struct WrittenRecurrence {
    cron: String,
    timezone: String,
}

/// The five fields, and what they accept.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31, or `L` for the last day"),
    ("month", "1 to 12, or `jan` to `dec`"),
    ("day of the week", "0 to 7 (0 and 7 are Sunday), or `sun` to `sat`"),
];

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

const EVERY: &str = "@every";
const MIN_INTERVAL: Duration = Duration::from_secs(1);
const MAX_INTERVAL: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The longest time, in minutes, that a change of the clocks leaves out.
const MAX_GAP_MINUTES: i64 = 25 * 60;

/// No time after this recurs: stores count nanoseconds, up to the year 2262.
const LAST_TIME: DateTime<Utc> = DateTime::from_timestamp_nanos(9_000_000_000_000_000_000);

impl Recurrence {
    /// Parses an expression in this zone, unless it names its own: `TZ=Asia/Tokyo 0 9 * * *`.
    pub fn parse(text: &str, zone: Tz) -> Result<Self, InvalidRecurrence> {
        let located = |fault: Fault<'_>| {
            let start = fault.part.as_ptr().addr().saturating_sub(text.as_ptr().addr());
            let Fault { part, message, hint } = fault;
            InvalidRecurrence { span: start..start + part.len(), message, hint }
        };
        let trimmed = text.trim();
        let prefixed = trimmed.strip_prefix("CRON_TZ=").or_else(|| trimmed.strip_prefix("TZ="));
        let (expression, zone) = match prefixed {
            Some(rest) => {
                let (name, expression) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                (expression.trim(), find_zone(name).map_err(located)?)
            }
            None => (trimmed, zone),
        };
        // Without an expression, there is only the zone to show.
        let parsed = parse_rule(expression)
            .map_err(|fault| located(if fault.part.is_empty() { Fault { part: trimmed, ..fault } } else { fault }));
        let recurrence = Self::new(expression, zone, parsed?);
        if recurrence.next_after(DateTime::UNIX_EPOCH).is_none() {
            let hint = "no year has such a day; for the last day of a month write `L`, as in `0 0 L 2 *`";
            let message = format!("`{expression}` never comes");
            return Err(located(fault(day_and_month(expression), message, Some(hint.to_owned()))));
        }
        Ok(recurrence)
    }

    fn new(expression: &str, zone: Tz, rule: Rule) -> Self {
        Self { expression: expression.to_owned(), zone, rule, computed: ComputedTimes::default() }
    }

    /// The interval of `@every`.
    pub fn interval(&self) -> Option<TimeDelta> {
        if let Rule::Interval(interval) = self.rule { Some(interval) } else { None }
    }

    /// The expression, without the time zone.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The time zone.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// The next time after `time`.
    ///
    /// A time of day that clocks skip means the instant at which they go on; one that they show twice means the first.
    /// An expression that matches every hour (`*/15 * * * *`) goes by elapsed time instead.
    pub fn next_after(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if let Some(known) = self.computed.next_after(time) {
            return Some(known);
        }
        let next = self.compute_next(time)?;
        self.computed.add(time, next);
        Some(next)
    }

    fn compute_next(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let time = time.max(DateTime::UNIX_EPOCH - TimeDelta::seconds(1)).trunc_subsecs(0);
        let next = match &self.rule {
            Rule::Interval(interval) => {
                let millis = interval.num_milliseconds();
                let next = (time.timestamp_millis().div_euclid(millis) + 1).checked_mul(millis)?;
                DateTime::from_timestamp_millis(next)
            }
            Rule::Hourly(cron) => {
                let next = cron.find_next_occurrence(&time.with_timezone(&self.zone), false).ok();
                next.map(|next| next.to_utc())
            }
            Rule::WallClock(cron) => self.next_wall_clock(cron, time),
        };
        next.filter(|next| *next > time && *next <= LAST_TIME)
    }

    /// The next time after `time` at which the clocks of the zone show what the pattern matches.
    fn next_wall_clock(&self, cron: &Cron, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut shown = time.with_timezone(&self.zone).naive_local();
        loop {
            // Computed as if the zone had no changes, which are applied to the result.
            shown = cron.find_next_occurrence(&shown.and_utc(), false).ok()?.naive_utc();
            let next = instant_of(shown, self.zone)?;
            if next > time {
                return Some(next);
            }
        }
    }
}

impl ComputedTimes {
    fn next_after(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().flatten().find(|(after, next)| (*after..*next).contains(&time)).map(|(_, next)| *next)
    }

    fn add(&self, after: DateTime<Utc>, next: DateTime<Utc>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let [first, _] = *known;
        *known = [Some((after, next)), first];
    }
}

impl Clone for ComputedTimes {
    fn clone(&self) -> Self {
        Self(Mutex::new(*self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl PartialEq for Recurrence {
    fn eq(&self, other: &Self) -> bool {
        self.expression == other.expression && self.zone == other.zone
    }
}

impl Eq for Recurrence {}

impl fmt::Display for Recurrence {
    /// The expression, with its zone unless that is UTC or plays no part.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rule {
            Rule::Interval(_) => f.write_str(&self.expression),
            _ => write!(f, "{} ({})", self.expression, self.zone.name()),
        }
    }
}

impl TryFrom<WrittenRecurrence> for Recurrence {
    type Error = String;

    fn try_from(written: WrittenRecurrence) -> Result<Self, String> {
        let zone = match written.timezone.parse() {
            Ok(zone) => zone,
            Err(_) => find_zone(&written.timezone).map_err(|fault| fault.message)?,
        };
        // It was checked in all details when it was read from the file.
        let rule = read_rule(&written.cron).map_err(|fault| fault.message)?;
        Ok(Self::new(&written.cron, zone, rule))
    }
}

impl From<Recurrence> for WrittenRecurrence {
    fn from(recurrence: Recurrence) -> Self {
        Self { cron: recurrence.expression, timezone: recurrence.zone.name().to_owned() }
    }
}

/// Parses the name of a time zone, such as `Europe/Berlin`, in any case.
pub fn parse_zone(name: &str) -> Result<Tz, InvalidRecurrence> {
    find_zone(name).map_err(|Fault { message, hint, .. }| InvalidRecurrence { span: 0..name.len(), message, hint })
}

fn find_zone(name: &str) -> Result<Tz, Fault<'_>> {
    let known = |zone: &&Tz| zone.name().eq_ignore_ascii_case(name);
    if let Some(zone) = chrono_tz::TZ_VARIANTS.iter().find(known) {
        return Ok(*zone);
    }
    let message = format!("unknown time zone `{}`", text::sanitize_line(name));
    let score = |zone: &Tz| {
        let (zone, name) = (zone.name().to_ascii_lowercase(), name.to_ascii_lowercase());
        let city = zone.rsplit('/').next().unwrap_or_default();
        strsim::jaro_winkler(&zone, &name).max(strsim::jaro_winkler(city, &name))
    };
    let best = chrono_tz::TZ_VARIANTS.iter().max_by(|a, b| score(a).total_cmp(&score(b)));
    let hint = match best.filter(|zone| score(zone) > 0.85) {
        Some(zone) => format!("did you mean `{}`?", zone.name()),
        None => "write a name such as `Europe/Berlin` or `UTC`".to_owned(),
    };
    Err(fault(name, message, Some(hint)))
}

fn fault(part: &str, message: String, hint: Option<String>) -> Fault<'_> {
    Fault { part, message, hint }
}

/// Parses an expression and checks each of its parts.
fn parse_rule(expression: &str) -> Result<Rule, Fault<'_>> {
    if strip_word(expression, EVERY).is_none() && !expression.starts_with('@') {
        check_fields(expression)?;
    }
    read_rule(expression)
}

/// Parses an expression.
fn read_rule(expression: &str) -> Result<Rule, Fault<'_>> {
    if let Some(interval) = strip_word(expression, EVERY) {
        return parse_interval(expression, interval.trim());
    }
    let mut fields = expression;
    if expression.starts_with('@') {
        let lower = expression.to_ascii_lowercase();
        let known = NICKNAMES.iter().find(|(name, _)| *name == lower);
        fields = known.ok_or_else(|| unknown_nickname(expression, &lower))?.1;
    }
    let invalid = || fault(expression, format!("invalid schedule `{}`", text::sanitize_line(expression)), None);
    let cron = parse_pattern(fields).ok_or_else(invalid)?;
    let matches_all_hours = (0..24).all(|hour| cron.pattern.hour_match(hour).is_ok_and(|matches| matches));
    Ok(if matches_all_hours { Rule::Hourly(Box::new(cron)) } else { Rule::WallClock(Box::new(cron)) })
}

fn strip_word<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    first.eq_ignore_ascii_case(word).then_some(rest)
}

fn parse_interval<'t>(expression: &'t str, interval: &'t str) -> Result<Rule, Fault<'t>> {
    let example = || Some("write an interval such as `@every 90s` or `@every 10m`".to_owned());
    if interval.is_empty() {
        return Err(fault(expression, "`@every` has no interval".to_owned(), example()));
    }
    let parsed = text::parse_duration(interval)
        .map_err(|_| fault(interval, format!("invalid interval `{}`", text::sanitize_line(interval)), example()))?;
    if parsed < MIN_INTERVAL {
        let message = format!("`{}` is shorter than a second", text::sanitize_line(expression));
        return Err(fault(interval, message, Some("write at least `@every 1s`".to_owned())));
    }
    let delta = TimeDelta::from_std(parsed).ok().filter(|_| parsed < MAX_INTERVAL);
    let too_long = || format!("`{}` is longer than 100 years", text::sanitize_line(expression));
    Ok(Rule::Interval(delta.ok_or_else(|| fault(interval, too_long(), example()))?))
}

fn unknown_nickname<'t>(expression: &'t str, lower: &str) -> Fault<'t> {
    let message = format!("unknown schedule `{}`", text::sanitize_line(expression));
    if lower == "@reboot" {
        let hint = "a schedule has times of day; to run a queue at boot, start `setlist process` from a service";
        return fault(expression, "`@reboot` is not a time".to_owned(), Some(hint.to_owned()));
    }
    let names = NICKNAMES.iter().map(|(name, _)| *name).chain([EVERY]);
    let hint = match names.map(|name| (strsim::damerau_levenshtein(name, lower), name)).min() {
        Some((distance, name)) if distance <= 2 => format!("did you mean `{name}`?"),
        _ => "write five fields, `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly` or `@every 10m`".to_owned(),
    };
    fault(expression, message, Some(hint))
}

/// Checks that an expression has five fields, and each of them.
fn check_fields(expression: &str) -> Result<(), Fault<'_>> {
    let fields: Vec<&str> = expression.split_whitespace().collect();
    let shown = text::sanitize_line(expression);
    if fields.len() != FIELDS.len() {
        let found = if fields.is_empty() { "an empty schedule".to_owned() } else { format!("`{shown}`") };
        let hint = match fields.len() {
            6 | 7 => "a schedule has no field for seconds or years; for intervals below a minute write `@every 30s`",
            _ => "write minute, hour, day of the month, month and day of the week, as in `30 2 * * *`",
        };
        return Err(fault(expression, format!("expected five fields, found {found}"), Some(hint.to_owned())));
    }
    for (index, (field, (name, accepts))) in fields.iter().zip(FIELDS).enumerate() {
        let mut alone = ["*"; 5];
        alone[index] = field;
        if !has_known_letters(index, field) || parse_pattern(&alone.join(" ")).is_none() {
            let message = format!("invalid {name} `{}` in `{shown}`", text::sanitize_line(field));
            let hint = format!("write {accepts}; also lists (`1,2`), ranges (`1-5`) and steps (`*/2`)");
            return Err(fault(field, message, Some(hint)));
        }
    }
    Ok(())
}

/// The third and the fourth field of an expression.
fn day_and_month(expression: &str) -> &str {
    let mut fields = expression.split_whitespace().skip(2);
    let (Some(day), Some(month)) = (fields.next(), fields.next()) else { return expression };
    let start = day.as_ptr().addr().saturating_sub(expression.as_ptr().addr());
    let end = (month.as_ptr().addr() + month.len()).saturating_sub(expression.as_ptr().addr());
    expression.get(start..end).unwrap_or(expression)
}

fn parse_pattern(fields: &str) -> Option<Cron> {
    // As in Vixie cron, a field that starts with `*` does not count as restricted, even if it has a step: then a day has
    // to match both fields. Otherwise one of them is enough.
    let has_star =
        fields.split_whitespace().enumerate().any(|(at, field)| matches!(at, 2 | 4) && field.starts_with('*'));
    let parser =
        CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).dom_and_dow(has_star).build();
    parser.parse(fields).ok()
}

/// Whether the letters of a field are names that belong there. `croner` replaces names in any field.
fn has_known_letters(index: usize, field: &str) -> bool {
    let lower = field.to_ascii_lowercase();
    let mut words = lower.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty());
    words.all(|word| match index {
        2 => matches!(word, "l" | "w" | "lw"),
        3 => MONTHS.contains(&word),
        4 => word == "l" || DAYS.contains(&word),
        _ => false,
    })
}

/// The first instant at which clocks in the zone show this time, or the instant at which they skip it.
fn instant_of(shown: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    let first = |shown: NaiveDateTime| zone.from_local_datetime(&shown).earliest().map(|time| time.to_utc());
    // Clocks go on at a whole minute.
    let minute = shown.with_second(0)?;
    first(shown).or_else(|| (1..=MAX_GAP_MINUTES).find_map(|minutes| first(minute + TimeDelta::minutes(minutes))))
}
