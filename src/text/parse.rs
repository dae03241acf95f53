//! Parses durations that people write.

use std::fmt;
use std::time::Duration;

/// Why a text is not a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurationError {
    /// It has another form.
    Invalid,
    /// It contains `M`, which could be minutes or months.
    AmbiguousUnit,
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid => "invalid duration",
            Self::AmbiguousUnit => "ambiguous unit `M`: write `min` or `months`",
        })
    }
}

/// Parses a duration such as `90s`, `10m`, `1h 30m` or `2days`. A number without a unit is in seconds.
///
/// # Errors
///
/// The text is not a duration, or one with the unit `M`.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(Duration::from_secs).map_err(|_| DurationError::Invalid);
    }
    let duration = humantime::parse_duration(text).map_err(|_| DurationError::Invalid)?;
    if text.split(|c: char| !c.is_alphabetic()).any(|unit| unit == "M") {
        return Err(DurationError::AmbiguousUnit);
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_of_a_duration_must_be_clear() {
        let seconds = |text| parse_duration(text).map(|duration| duration.as_secs());
        assert_eq!(seconds("90"), Ok(90));
        assert_eq!(seconds("10m"), Ok(600));
        assert_eq!(seconds("1h 30min"), Ok(5400));
        assert_eq!(seconds("2months").unwrap() / 86_400, 60);
        for text in ["1M", "2h 3M", "1h3M", "1 M"] {
            assert_eq!(seconds(text), Err(DurationError::AmbiguousUnit), "{text}");
        }
        for text in ["", "soon", "-5", "1.5", "99999999999999999999", "10 parsecs"] {
            assert_eq!(seconds(text), Err(DurationError::Invalid), "{text}");
        }
    }
}
