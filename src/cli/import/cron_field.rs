//! The time fields of a crontab, by the rules of cron, and as a schedule writes them.
//!
//! cron and schedules differ in details: which steps are allowed, what 7 means, when both kinds of days have to match.

use std::collections::BTreeSet;

use crate::stable_hash::stable_hash;

/// The time fields of an entry, for a schedule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CronTimes {
    /// The expression.
    pub(super) expression: String,
    /// Values that were picked for `~`: what was written, and the value.
    pub(super) picked: Vec<(String, u32)>,
}

/// One of the five fields.
struct FieldKind {
    name: &'static str,
    min: u32,
    max: u32,
    /// The names of its values from `min`, in full: three letters are enough.
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const DAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

const FIELDS: [FieldKind; 5] = [
    FieldKind { name: "minute", min: 0, max: 59, names: &[] },
    FieldKind { name: "hour", min: 0, max: 23, names: &[] },
    FieldKind { name: "day of the month", min: 1, max: 31, names: &[] },
    FieldKind { name: "month", min: 1, max: 12, names: &MONTHS },
    FieldKind { name: "day of the week", min: 0, max: 7, names: &DAYS },
];

const DAY_OF_MONTH: usize = 2;
const DAY_OF_WEEK: usize = 4;

/// Sunday, in its other notation.
const SEVENTH_DAY: u32 = 7;

/// The words that replace the five fields, with their meaning. The last ones are those of systemd-cron.
const NICKNAMES: [(&str, &str); 13] = [
    ("yearly", "0 0 1 1 *"),
    ("annually", "0 0 1 1 *"),
    ("monthly", "0 0 1 * *"),
    ("weekly", "0 0 * * 0"),
    ("daily", "0 0 * * *"),
    ("midnight", "0 0 * * *"),
    ("hourly", "0 * * * *"),
    ("minutely", "* * * * *"),
    ("quarterly", "0 0 1 1,4,7,10 *"),
    ("semi-annually", "0 0 1 1,7 *"),
    ("semiannually", "0 0 1 1,7 *"),
    ("bi-annually", "0 0 1 1,7 *"),
    ("biannually", "0 0 1 1,7 *"),
];

/// The expression of a nickname, without its `@`.
pub(super) fn parse_nickname(word: &str) -> Result<CronTimes, String> {
    let known = NICKNAMES.iter().find(|(name, _)| *name == word);
    let lower = word.to_ascii_lowercase();
    match known {
        // The common ones are words of schedules, too.
        Some((name, _)) if !["minutely", "quarterly"].contains(name) && !name.contains("annually") => {
            Ok(CronTimes { expression: format!("@{name}"), picked: Vec::new() })
        }
        Some((_, fields)) => Ok(CronTimes { expression: (*fields).to_owned(), picked: Vec::new() }),
        None if NICKNAMES.iter().any(|(name, _)| *name == lower) => {
            Err(format!("cron accepts `@{word}` only in lower case; write `@{lower}`"))
        }
        None => Err(format!("unknown time `@{word}`; write five fields, or `@daily` and the like")),
    }
}

/// Parses five fields. `seed` decides what is picked for `~`.
pub(super) fn parse_times(fields: [&str; 5], seed: &str) -> Result<CronTimes, String> {
    let mut picked = Vec::new();
    let mut texts = Vec::new();
    for (index, (text, kind)) in fields.into_iter().zip(&FIELDS).enumerate() {
        let message = |error| format!("invalid {} `{text}`: {error}", kind.name);
        texts.push(if is_last_day(index, text, fields) {
            text.to_owned()
        } else {
            parse_field(text, index, seed, &mut picked).map_err(message)?
        });
    }
    Ok(CronTimes { expression: texts.join(" "), picked })
}

/// Whether a field is the last day of a month, as in systemd-cron: `L`, or `5L` for the last Friday.
fn is_last_day(index: usize, text: &str, fields: [&str; 5]) -> bool {
    match index {
        DAY_OF_MONTH => text == "L",
        DAY_OF_WEEK => {
            fields[DAY_OF_MONTH] == "*"
                && text.strip_suffix('L').is_some_and(|day| matches!(day.as_bytes(), [b'0'..=b'6']))
        }
        _ => false,
    }
}

/// Parses a field, and writes it as a schedule has it. A `*` at its beginning remains, because it counts when both kinds of
/// days are given.
fn parse_field(text: &str, index: usize, seed: &str, picked: &mut Vec<(String, u32)>) -> Result<String, String> {
    let kind = &FIELDS[index];
    let mut values = BTreeSet::new();
    let mut parts = Vec::new();
    for part in text.split(',') {
        let (from, to, step) = match part.split_once('~') {
            Some((from, to)) => {
                let value = pick(kind, from, to, &format!("{seed} {index}"))?;
                picked.push((part.to_owned(), value));
                (value, value, 1)
            }
            None => parse_range(kind, part)?,
        };
        values.extend((from..=to).filter(|value| (value - from).is_multiple_of(step)));
        parts.push(part_text(part, (from, to, step)));
    }
    let begins_with_star = text.starts_with('*');
    let is_week = index == DAY_OF_WEEK;
    // A range that ends with the 7 of Sunday.
    let needs_list = is_week && !begins_with_star && values.contains(&SEVENTH_DAY);
    if is_week && values.remove(&SEVENTH_DAY) {
        values.insert(0);
    }
    let last = if is_week { kind.max - 1 } else { kind.max };
    let is_all = begins_with_star && (kind.min..=last).all(|value| values.contains(&value));
    Ok(if is_all {
        "*".to_owned()
    } else if needs_list {
        values.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
    } else {
        parts.join(",")
    })
}

/// A part of a list, as a schedule writes it.
fn part_text(part: &str, (from, to, step): (u32, u32, u32)) -> String {
    match part.split_once('/') {
        Some(("*", _)) if from + step <= to => format!("*/{step}"),
        _ if from == to || from + step > to => from.to_string(),
        Some(_) => format!("{from}-{to}/{step}"),
        None if part == "*" => part.to_owned(),
        None => format!("{from}-{to}"),
    }
}

/// Parses `*`, `a`, `a-b`, each but `a` also with `/step`.
fn parse_range(kind: &FieldKind, part: &str) -> Result<(u32, u32, u32), String> {
    let (range, step) = match part.split_once('/') {
        Some((range, step)) => (range, parse_step(step)?),
        None => (part, 1),
    };
    if range == "*" {
        return Ok((kind.min, kind.max, step));
    }
    let Some((from, to)) = range.split_once('-') else {
        let value = parse_number(kind, range)?;
        if part.contains('/') {
            return Err(format!("cron has no step after a single value; write `{value}-{}/{step}`", kind.max));
        }
        return Ok((value, value, 1));
    };
    let (from, mut to) = (parse_number(kind, from)?, parse_number(kind, to)?);
    if from > to && to == 0 && step == 1 && kind.max == SEVENTH_DAY {
        to = SEVENTH_DAY;
    }
    if from > to {
        let rest = format!("{from}-{},{}-{to}", kind.max, kind.min);
        return Err(format!("cron takes this range for empty; write `{rest}`"));
    }
    Ok((from, to, step))
}

fn parse_step(text: &str) -> Result<u32, String> {
    let step = text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    step.filter(|step| (1..=1000).contains(step)).ok_or_else(|| format!("invalid step `{text}`"))
}

/// A value of `a~b`, where both may be missing. cron picks one when it reads the file.
fn pick(kind: &FieldKind, from: &str, to: &str, seed: &str) -> Result<u32, String> {
    let bound = |text: &str, missing: u32| if text.is_empty() { Ok(missing) } else { parse_number(kind, text) };
    let (from, to) = (bound(from, kind.min)?, bound(to, kind.max)?);
    if from > to {
        return Err("the first value has to be the smaller one".to_owned());
    }
    // The low bits alone would follow the last letters closely.
    let hash = stable_hash(seed.bytes());
    let offset = (hash ^ (hash >> 32)) % u64::from(to - from + 1);
    Ok(from + u32::try_from(offset).unwrap_or_default())
}

fn parse_number(kind: &FieldKind, text: &str) -> Result<u32, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let in_range = text.parse().ok().filter(|value| (kind.min..=kind.max).contains(value));
        return in_range.ok_or_else(|| format!("`{text}` is not between {} and {}", kind.min, kind.max));
    }
    let lower = text.to_ascii_lowercase();
    let position = kind.names.iter().position(|name| lower.len() >= 3 && name.starts_with(&lower));
    let value = position.and_then(|position| u32::try_from(position).ok()).map(|position| kind.min + position);
    value.ok_or_else(|| {
        if text.is_empty() { "a value is missing".to_owned() } else { format!("cron doesn't know `{text}`") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expression(fields: &str) -> Result<String, String> {
        let fields: Vec<&str> = fields.split(' ').collect();
        parse_times(fields.try_into().unwrap(), "seed").map(|times| times.expression)
    }

    #[test]
    fn fields_are_written_as_schedules_have_them() {
        for (crontab, schedule) in [
            ("5 0 * * *", "5 0 * * *"),
            ("*/5 08-18/2 01 jan,Jul mon-fri", "*/5 8-18/2 1 1,7 1-5"),
            ("0 0 * * 5-7", "0 0 * * 0,5,6"),
            ("0 0 * * sat-sun", "0 0 * * 0,6"),
            ("0 0 * * */2", "0 0 * * */2"),
            ("0 0 */2 * 1", "0 0 */2 * 1"),
            ("0 0 * * 1-7/2", "0 0 * * 0,1,3,5"),
            ("0 0 * * mon-fri/3", "0 0 * * 1-5/3"),
            ("0 0 1-31 * 1", "0 0 1-31 * 1"),
            ("*/1 0 L * *", "* 0 L * *"),
            ("10-20/30 0 * * *", "10 0 * * *"),
            ("0 0 * * 5L", "0 0 * * 5L"),
            ("0 0 * * Monday", "0 0 * * 1"),
        ] {
            assert_eq!(expression(crontab).as_deref(), Ok(schedule), "{crontab}");
        }
    }

    #[test]
    fn what_cron_refuses_is_refused() {
        for (crontab, part) in [
            ("60 * * * *", "`60` is not between 0 and 59"),
            ("5/15 * * * *", "write `5-59/15`"),
            ("* 22-2 * * *", "write `22-23,0-2`"),
            ("*/0 * * * *", "invalid step `0`"),
            ("? * * * *", "cron doesn't know `?`"),
            ("1,,2 * * * *", "a value is missing"),
            ("* * 15W * *", "cron doesn't know `15W`"),
            ("9~3 * * * *", "the smaller one"),
        ] {
            let error = expression(crontab).unwrap_err();
            assert!(error.contains(part), "{crontab}: {error}");
        }
    }

    #[test]
    fn a_random_value_is_within_its_range_and_always_the_same() {
        let times = |seed: &str| parse_times(["10~20", "~", "*", "*", "*"], seed).unwrap();
        let picked = times("a").picked;
        assert!((10..=20).contains(&picked[0].1) && picked[1].1 <= 23, "{picked:?}");
        assert_eq!(times("a"), times("a"));
        assert!((0..50).any(|seed| times(&seed.to_string()).picked != picked), "it depends on the line");
    }
}
