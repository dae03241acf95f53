//! Recurring times, compared with an oracle that looks at every minute.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use setlist::model::{Recurrence, due_at};

use crate::rng::{TestRng, iterations};

/// A field of an expression: as written, and the values that it matches.
#[derive(Clone)]
struct Field {
    text: String,
    values: BTreeSet<u32>,
}

/// An expression whose times are found by looking at every minute.
pub(crate) struct Expression {
    fields: [Field; 5],
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

fn number(rng: &mut TestRng, from: u32, to: u32) -> u32 {
    u32::try_from(rng.in_range(from as usize..to as usize + 1)).unwrap()
}

impl Field {
    fn random(rng: &mut TestRng, from: u32, to: u32, names: &[&str], wildcards: usize) -> Self {
        if rng.one_in(wildcards) {
            let step = if rng.one_in(3) { number(rng, 2, 9) } else { 1 };
            let text = if step == 1 { "*".to_owned() } else { format!("*/{step}") };
            return Self { text, values: (from..=to).step_by(step as usize).collect() };
        }
        let mut parts = Vec::new();
        let mut values = BTreeSet::new();
        for _ in 0..=rng.in_range(0..2) {
            let (a, b) = (number(rng, from, to), number(rng, from, to));
            let (a, b) = (a.min(b), a.max(b));
            let step = number(rng, 2, 9);
            match rng.in_range(0..4) {
                0 => {
                    parts.push(format!("{a}-{b}"));
                    values.extend(a..=b);
                }
                1 => {
                    parts.push(format!("{a}-{b}/{step}"));
                    values.extend((a..=b).step_by(step as usize));
                }
                2 if !names.is_empty() => {
                    parts.push(names[(a - from) as usize].to_owned());
                    values.insert(a);
                }
                _ => {
                    parts.push(a.to_string());
                    values.insert(a);
                }
            }
        }
        Self { text: parts.join(","), values }
    }
}

impl Expression {
    fn random(rng: &mut TestRng) -> Self {
        // Minutes are rarely `*`, and days often, so that there are neither too many nor too few matches.
        let minute = Field::random(rng, 0, 59, &[], 12);
        let hour = Field::random(rng, 0, 23, &[], 3);
        let day = Field::random(rng, 1, 31, &[], 2);
        let month = Field::random(rng, 1, 12, &MONTHS, 1);
        let weekday = Field::random(rng, 0, 6, &DAYS, 2);
        Self { fields: [minute, hour, day, month, weekday] }
    }

    /// An expression with these values: minutes, hours, days of the month, months, days of the week. A field that is
    /// marked as `*` doesn't count when either kind of days is enough.
    pub(crate) fn with_values(fields: [(bool, BTreeSet<u32>); 5]) -> Self {
        let field = |(is_star, values)| Field { text: if is_star { "*" } else { "values" }.to_owned(), values };
        Self { fields: fields.map(field) }
    }

    /// The first due times after `start`, found by looking at every minute of the days on which there can be one.
    pub(crate) fn first_by_minute(&self, zone: Tz, start: DateTime<Utc>, count: usize) -> Vec<DateTime<Utc>> {
        let [.., day, month, weekday] = &self.fields;
        let is_possible = |date: NaiveDate| {
            let whole_day = Field { text: String::new(), values: (0..60).collect() };
            let fields = [whole_day.clone(), whole_day, day.clone(), month.clone(), weekday.clone()];
            Self { fields }.matches(date.and_hms_opt(0, 0, 0).unwrap())
        };
        let mut due = Vec::new();
        let mut midnight = start;
        while due.len() < count {
            let next = midnight + TimeDelta::days(1);
            let mut dates = (-1..=1).map(|days| (midnight + TimeDelta::days(days)).date_naive());
            if dates.any(is_possible) {
                due.extend(self.due_by_minute(zone, (midnight, next)));
            }
            midnight = next;
        }
        due.truncate(count);
        due
    }

    fn text(&self) -> String {
        self.fields.iter().map(|field| field.text.as_str()).collect::<Vec<_>>().join(" ")
    }

    fn matches(&self, shown: NaiveDateTime) -> bool {
        let [minute, hour, day, month, weekday] = &self.fields;
        let day_matches = day.values.contains(&shown.day());
        let weekday_matches = weekday.values.contains(&shown.weekday().num_days_from_sunday());
        // As cron(8) does: a field that starts with `*` is not restricted, also with a step.
        let any_day = match (day.text.starts_with('*'), weekday.text.starts_with('*')) {
            (false, false) => day_matches || weekday_matches,
            _ => day_matches && weekday_matches,
        };
        any_day
            && minute.values.contains(&shown.minute())
            && hour.values.contains(&shown.hour())
            && month.values.contains(&shown.month())
    }

    fn is_hourly(&self) -> bool {
        self.fields[1].values.len() == 24
    }

    /// The due times in a window, found by looking at every minute.
    fn due_by_minute(&self, zone: Tz, window: (DateTime<Utc>, DateTime<Utc>)) -> Vec<DateTime<Utc>> {
        let minute = TimeDelta::minutes(1);
        let shown_at = |time: DateTime<Utc>| time.with_timezone(&zone).naive_local();
        // What clocks have shown is known from a day before.
        let mut time = window.0 - TimeDelta::days(2);
        let mut seen = HashSet::new();
        let mut before = shown_at(time - minute);
        let mut due = Vec::new();
        while time <= window.1 {
            let shown = shown_at(time);
            let is_first = seen.insert(shown);
            let mut skipped = std::iter::successors(Some(before + minute), |skipped| Some(*skipped + minute));
            let was_skipped = skipped.by_ref().take_while(|skipped| *skipped < shown).any(|one| self.matches(one));
            let is_due =
                if self.is_hourly() { self.matches(shown) } else { (is_first && self.matches(shown)) || was_skipped };
            if is_due && time > window.0 {
                due.push(time);
            }
            before = shown;
            time += minute;
        }
        due
    }
}

fn due_by_recurrence(recurrence: &Recurrence, window: (DateTime<Utc>, DateTime<Utc>)) -> Vec<DateTime<Utc>> {
    let next = std::iter::successors(recurrence.next_after(window.0), |time| recurrence.next_after(*time));
    next.take_while(|time| *time <= window.1).collect()
}

/// The hours of 2026 in which the clocks of a zone change.
fn clock_changes(zone: Tz) -> Vec<DateTime<Utc>> {
    let start = Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap();
    let offset = |time: DateTime<Utc>| time.with_timezone(&zone).naive_local() - time.naive_utc();
    let hours = (0..365 * 24).map(|hour| start + TimeDelta::hours(hour));
    hours.filter(|hour| offset(*hour) != offset(*hour + TimeDelta::hours(1))).collect()
}

/// Compares expressions of a zone around each change of its clocks, and in an ordinary week.
fn compare(zone: Tz, rng: &mut TestRng, expressions: usize) {
    let ordinary =
        Utc.with_ymd_and_hms(2026, 1, 10, 0, 0, 0).unwrap() + TimeDelta::days(i64::from(number(rng, 0, 300)));
    let mut windows: Vec<_> = clock_changes(zone)
        .into_iter()
        .map(|change| (change - TimeDelta::hours(30), change + TimeDelta::hours(30)))
        .collect();
    windows.push((ordinary, ordinary + TimeDelta::days(3)));
    for _ in 0..expressions {
        let expression = Expression::random(rng);
        let text = expression.text();
        let Ok(recurrence) = Recurrence::parse(&text, zone) else {
            let never = Recurrence::parse(&text, zone).unwrap_err().message;
            assert!(never.ends_with("never comes"), "{text}: {never}");
            continue;
        };
        for window in &windows {
            let (found, wanted) = (due_by_recurrence(&recurrence, *window), expression.due_by_minute(zone, *window));
            assert_eq!(found, wanted, "`{text}` in {zone} after {}", window.0);
        }
    }
}

/// Zones whose clocks change in unusual ways.
const UNUSUAL: [Tz; 8] = [
    chrono_tz::Australia::Lord_Howe,
    chrono_tz::Pacific::Chatham,
    chrono_tz::Antarctica::Troll,
    chrono_tz::Africa::Casablanca,
    chrono_tz::America::St_Johns,
    chrono_tz::Asia::Beirut,
    chrono_tz::America::Nuuk,
    chrono_tz::Europe::Dublin,
];

#[test]
fn random_expressions_agree_with_a_search_by_minute() {
    let mut rng = TestRng::new();
    let number = iterations(8);
    for zone in UNUSUAL {
        compare(zone, &mut rng, number.div_ceil(4));
    }
    for _ in 0..number {
        let zone = *rng.pick(&TZ_VARIANTS);
        compare(zone, &mut rng, 2);
    }
    if number >= TZ_VARIANTS.len() {
        for zone in TZ_VARIANTS {
            compare(zone, &mut rng, 1 + 2_000 / TZ_VARIANTS.len());
        }
    }
}

/// What the clocks of a zone show at a minute.
struct Minute {
    time: DateTime<Utc>,
    shown: NaiveDateTime,
    /// Whether they show it for the first time.
    is_first: bool,
    /// The first of the minutes that they have skipped before this one.
    skipped: Option<NaiveDateTime>,
}

/// All minutes of 2026.
fn minutes_of_year(zone: Tz) -> Vec<Minute> {
    let start = Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap();
    let shown_at = |time: DateTime<Utc>| time.with_timezone(&zone).naive_local();
    let minute = TimeDelta::minutes(1);
    let (mut before, mut latest) = (shown_at(start - minute), shown_at(start - minute));
    let times = (0..365 * 24 * 60).map(|number| start + TimeDelta::minutes(number));
    let minutes = times.map(|time| {
        let shown = shown_at(time);
        let skipped = (shown > before + minute).then_some(before + minute);
        let is_first = shown > latest;
        (before, latest) = (shown, latest.max(shown));
        Minute { time, shown, is_first, skipped }
    });
    minutes.collect()
}

/// The values of each field as bits, for looking at many minutes.
struct Masks {
    fields: [u64; 5],
    any_day: bool,
    is_hourly: bool,
}

impl Masks {
    fn new(expression: &Expression) -> Self {
        let mask = |field: &Field| field.values.iter().fold(0, |mask, value| mask | 1 << value);
        let [_, _, day, _, weekday] = &expression.fields;
        Self {
            fields: expression.fields.each_ref().map(mask),
            any_day: !day.text.starts_with('*') && !weekday.text.starts_with('*'),
            is_hourly: expression.is_hourly(),
        }
    }

    fn matches(&self, shown: NaiveDateTime) -> bool {
        let [minutes, hours, days, months, weekdays] = self.fields;
        let has = |mask: u64, value: u32| mask >> value & 1 == 1;
        has(minutes, shown.minute()) && has(hours, shown.hour()) && has(months, shown.month()) && {
            let (day, weekday) = (has(days, shown.day()), has(weekdays, shown.weekday().num_days_from_sunday()));
            if self.any_day { day || weekday } else { day && weekday }
        }
    }

    fn is_due(&self, minute: &Minute) -> bool {
        if self.is_hourly || (minute.is_first && self.matches(minute.shown)) {
            return self.matches(minute.shown);
        }
        let skipped = std::iter::successors(minute.skipped, |skipped| Some(*skipped + TimeDelta::minutes(1)));
        skipped.take_while(|skipped| *skipped < minute.shown).any(|skipped| self.matches(skipped))
    }
}

/// Compares random expressions over a year with a search by minute; returns how many due times were compared.
fn compare_year(zone: Tz, rng: &mut TestRng, expressions: usize) -> usize {
    let minutes = minutes_of_year(zone);
    let (first, last) = (minutes[0].time - TimeDelta::seconds(1), minutes[minutes.len() - 1].time);
    let (mut compared, mut due_times) = (0, 0);
    while compared < expressions {
        let expression = Expression::random(rng);
        let Ok(recurrence) = Recurrence::parse(&expression.text(), zone) else { continue };
        let masks = Masks::new(&expression);
        let wanted: Vec<_> = minutes.iter().filter(|minute| masks.is_due(minute)).map(|minute| minute.time).collect();
        assert!(due_by_recurrence(&recurrence, (first, last)) == wanted, "`{}` in {zone}", expression.text());
        compared += 1;
        due_times += wanted.len();
    }
    due_times
}

/// With `SETLIST_SOAK=2000` or more, every zone is compared, and as many expressions.
#[test]
fn random_expressions_agree_with_a_search_by_minute_over_a_year() {
    let mut rng = TestRng::new();
    let number = iterations(2);
    let zones = if number >= 2_000 { &TZ_VARIANTS[..] } else { &UNUSUAL[rng.in_range(0..UNUSUAL.len())..][..1] };
    let each = number.div_ceil(zones.len());
    let due_times: usize = zones.iter().map(|zone| compare_year(*zone, &mut rng, each)).sum();
    println!("{} expressions in {} zones, {due_times} due times", each * zones.len(), zones.len());
}

fn next(expression: &str, zone: Tz, after: &str, count: usize) -> Vec<String> {
    let recurrence = Recurrence::parse(expression, zone).unwrap();
    let after = NaiveDateTime::parse_from_str(after, "%Y-%m-%d %H:%M").unwrap().and_utc();
    let times = std::iter::successors(recurrence.next_after(after), |time| recurrence.next_after(*time));
    times.take(count).map(|time| time.with_timezone(&zone).format("%d %H:%M %Z").to_string()).collect()
}

#[test]
fn a_local_time_that_is_skipped_is_due_at_the_change_and_a_repeated_one_once() {
    let berlin = chrono_tz::Europe::Berlin;
    assert_eq!(next("30 2 * * *", berlin, "2026-03-28 12:00", 2), ["29 03:00 CEST", "30 02:30 CEST"]);
    assert_eq!(next("0,30 2 * * *", berlin, "2026-03-28 12:00", 2), ["29 03:00 CEST", "30 02:00 CEST"]);
    assert_eq!(next("30 2 * * *", berlin, "2026-10-24 12:00", 2), ["25 02:30 CEST", "26 02:30 CET"]);
    // What comes every hour keeps its pace.
    let hourly = ["25 01:30 CEST", "25 02:30 CEST", "25 02:30 CET", "25 03:30 CET"];
    assert_eq!(next("30 * * * *", berlin, "2026-10-24 23:00", 4), hourly);
    assert_eq!(next("30 * * * *", berlin, "2026-03-29 00:00", 2), ["29 01:30 CET", "29 03:30 CEST"]);
}

#[test]
fn an_interval_is_a_fixed_grid() {
    assert_eq!(
        next("@every 90m", chrono_tz::UTC, "2026-03-01 00:00", 3),
        ["01 01:30 UTC", "01 03:00 UTC", "01 04:30 UTC"]
    );
    let every = Recurrence::parse("@every 90s", chrono_tz::UTC).unwrap();
    let start = NaiveDate::from_ymd_opt(2026, 3, 1).unwrap().and_hms_milli_opt(0, 0, 5, 250).unwrap().and_utc();
    assert_eq!(every.next_after(start).unwrap().to_rfc3339(), "2026-03-01T00:01:30+00:00");
}

#[test]
fn names_and_nicknames_are_understood() {
    let utc = chrono_tz::UTC;
    assert_eq!(next("@daily", utc, "2026-03-01 00:00", 1), ["02 00:00 UTC"]);
    assert_eq!(next("@MIDNIGHT", utc, "2026-03-01 00:00", 1), ["02 00:00 UTC"]);
    assert_eq!(next("@weekly", utc, "2026-03-01 00:00", 1), ["08 00:00 UTC"]);
    assert_eq!(next("0 12 * Jan-mar SUN", utc, "2026-03-01 13:00", 1), ["08 12:00 UTC"]);
    assert_eq!(next("0 0 L 2 *", utc, "2026-03-01 00:00", 1), ["28 00:00 UTC"]);
    assert_eq!(next("0 0 29 2 *", utc, "2026-03-01 00:00", 1), ["29 00:00 UTC"], "of 2028");
    assert_eq!(next("TZ=Asia/Tokyo 0 9 * * *", chrono_tz::Asia::Tokyo, "2026-03-01 00:00", 1), ["02 09:00 JST"]);
}

#[test]
fn a_day_matches_both_fields_if_one_of_them_starts_with_a_star() {
    let utc = chrono_tz::UTC;
    // Restricted: the first of the month, or a Monday.
    assert_eq!(next("0 0 1 * mon", utc, "2026-05-02 00:00", 3), ["04 00:00 UTC", "11 00:00 UTC", "18 00:00 UTC"]);
    // A step is no restriction: an odd day that is a Monday.
    assert_eq!(next("0 0 */2 * mon", utc, "2026-05-02 00:00", 3), ["11 00:00 UTC", "25 00:00 UTC", "01 00:00 UTC"]);
    assert_eq!(next("0 0 1-31/2 * mon", utc, "2026-05-02 00:00", 3), ["03 00:00 UTC", "04 00:00 UTC", "05 00:00 UTC"]);
    assert_eq!(next("0 0 13 * */5", utc, "2026-05-02 00:00", 2), ["13 00:00 UTC", "13 00:00 UTC"]);
}

#[test]
fn a_due_time_has_seconds_within_a_minute() {
    let now = Utc.with_ymd_and_hms(2026, 11, 29, 14, 4, 30).unwrap();
    let shown = |seconds: i64| {
        let due = now + TimeDelta::seconds(seconds);
        due_at(due, due.naive_utc(), now)
    };
    assert_eq!(shown(7), "at 14:04:37");
    assert_eq!(shown(59), "at 14:05:29");
    assert_eq!(shown(60), "at 14:05");
    assert_eq!(shown(12 * 3600), "at 02:04");
    assert_eq!(shown(24 * 3600), "Mon 14:04");
}
