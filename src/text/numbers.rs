//! Durations, byte sizes, counts and plurals for people.

use std::time::Duration;

/// A duration in at most eight cells: `67ms`, `0.3s`, `12s`, `3m 04s`, `2h 11m`, `3d 4h`. Truncated, not rounded.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0 if duration.subsec_millis() < 100 => format!("{}ms", duration.subsec_millis()),
        0..10 => format!("{seconds}.{}s", duration.subsec_millis() / 100),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m {:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h {:02}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

/// The time left until something is due, in its two largest units: `8s`, `5m 3s`, `2h 5m`, `3d 4h`.
pub fn time_left(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let two = |large: u64, unit: &str, small: u64, smaller: &str| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit} {small}{smaller}"),
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => two(minutes, "m", seconds % 60, "s"),
        (0, hours, minutes) => two(hours, "h", minutes, "m"),
        (days, hours, _) => two(days, "d", hours, "h"),
    }
}

/// An approximate duration: `45s`, `8m`, `2h 10m`, `3d 4h`.
pub fn approximate_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, minutes) => format!("{hours}h {minutes:02}m"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

/// A duration as [`parse_duration`](super::parse_duration) reads it: `1h 30m`, `1s 500ms`.
pub fn exact_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// A number of bytes: `12 B`, `1.2 MiB`, `340 GiB`. Truncated, not rounded.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    // Ten powers of two a unit; 1 is KiB.
    let power = count.checked_ilog2().unwrap_or(0) / 10;
    let Some(unit) = (power as usize).checked_sub(1).and_then(|unit| UNITS.get(unit)) else {
        return format!("{count} B");
    };
    let (whole, rest) = (count >> (10 * power), count & ((1 << (10 * power)) - 1));
    if whole < 10 {
        let tenth = (rest * 10) >> (10 * power);
        format!("{whole}.{tenth} {unit}")
    } else {
        format!("{whole} {unit}")
    }
}

/// A number with thousands separators: `12,345`.
pub fn count(number: impl TryInto<u64>) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A count and its noun: `1 job`, `2 matches`, `1,234 lines`.
pub fn count_noun(number: impl TryInto<u64>, noun: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{} {}", count(number), noun_for(number, noun))
}

/// A noun without its count: `job` for 1, `jobs` for others.
pub fn noun_for(number: u64, noun: &str) -> String {
    match noun {
        _ if number == 1 => noun.to_owned(),
        _ if noun.ends_with(['s', 'x']) || noun.ends_with("ch") || noun.ends_with("sh") => format!("{noun}es"),
        _ => format!("{noun}s"),
    }
}

/// `is` for 1, `are` for other counts.
pub fn is_or_are(number: usize) -> &'static str {
    if number == 1 { "is" } else { "are" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nouns_agree_with_their_counts() {
        assert_eq!(count_noun(0_u8, "job"), "0 jobs");
        assert_eq!(count_noun(1_u64, "match"), "1 match");
        assert_eq!(count_noun(2_usize, "match"), "2 matches");
        assert_eq!(count_noun(1234_u32, "process"), "1,234 processes");
    }
}
