//! Masks the values of secrets in the output of a run, in bounded memory, also where a value arrives in pieces.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::invocation::not_started;
use super::launch::Launch;
use super::variables::resolve_variables;
use crate::model::{Call, Failure, MASK, MIN_SECRET_CHARS, Outcome, RunReport, Stream};
use crate::text::ELLIPSIS;

/// A shorter start of a secret, where a text was cut, is not masked.
const MIN_CUT_BYTES: usize = 3;

/// Replaces secrets by [`MASK`].
#[derive(Debug)]
pub(super) struct SecretMasker {
    /// The longest first.
    secrets: Vec<Vec<u8>>,
    /// The end of each stream, which may be the start of a secret.
    held: BTreeMap<bool, Vec<u8>>,
}

impl SecretMasker {
    /// Whether a secret is in these bytes.
    pub(super) fn hides_part_of(&self, bytes: &[u8]) -> bool {
        self.secrets.iter().any(|secret| memchr::memmem::find(bytes, secret).is_some())
    }

    /// The masker of a run; none if it has no secrets. Fails if the value of a secret is too short.
    pub(super) fn for_launch(launch: &Launch) -> Result<Option<Self>, Failure> {
        let Call::Script(script) = &launch.definition.call else { return Ok(None) };
        if script.exec.secrets.is_empty() && launch.secrets.is_empty() {
            return Ok(None);
        }
        let mut values = launch.secrets.clone();
        if !script.exec.secrets.is_empty() {
            let variables = resolve_variables(&script.exec, launch)?;
            for name in script.exec.secrets.iter() {
                let value = variables.iter().find(|(known, _)| &***known == name.as_str());
                let value = value.and_then(|(_, (value, _))| value.as_deref()).map(|value| value.to_string_lossy());
                let Some(value) = value.filter(|value| !value.is_empty()) else { continue };
                if value.chars().count() < MIN_SECRET_CHARS {
                    return Err(not_started(format!(
                        "the secret {name} has fewer than {MIN_SECRET_CHARS} characters, too few to mask it"
                    )));
                }
                values.push(value.into_owned());
            }
        }
        Ok(Self::new(&values))
    }

    /// The masker of the secret inputs alone, for a run whose other secrets can't be known because it can't start.
    pub(super) fn for_inputs(launch: &Launch) -> Option<Self> {
        Self::new(&launch.secrets)
    }

    /// Masks these values, and each of their lines that is long enough.
    fn new(values: &[String]) -> Option<Self> {
        let lines = values.iter().flat_map(|value| std::iter::once(value.as_str()).chain(value.lines()));
        let long = lines.filter(|line| line.chars().count() >= MIN_SECRET_CHARS);
        let mut secrets: Vec<Vec<u8>> = long.map(|line| line.as_bytes().to_vec()).collect();
        secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        secrets.dedup();
        (!secrets.is_empty()).then_some(Self { secrets, held: BTreeMap::new() })
    }

    /// Masks output. What may be the start of a secret is held back until more output shows whether it is one.
    pub(super) fn mask(&mut self, stream: Stream, bytes: &[u8]) -> Vec<u8> {
        let held = self.held.entry(stream == Stream::Err).or_default();
        let mut text = std::mem::take(held);
        text.extend_from_slice(bytes);
        let mut masked = Vec::with_capacity(text.len());
        let end = mask_into(&self.secrets, &text, false, &mut masked);
        *held = text.split_off(end);
        masked
    }

    /// What was held back of a stream that has ended.
    pub(super) fn finish(&mut self, stream: Stream) -> Vec<u8> {
        let held = self.held.remove(&(stream == Stream::Err)).unwrap_or_default();
        let mut masked = Vec::with_capacity(held.len());
        mask_into(&self.secrets, &held, true, &mut masked);
        masked
    }

    /// Masks the value, the error and the cause of a report.
    pub(super) fn mask_report(&self, report: &mut RunReport) {
        if let Some(value) = &mut report.value {
            self.mask_value(value);
        }
        if let Outcome::Failed(failure) = &mut report.outcome {
            failure.message = self.mask_text(&failure.message).into_owned();
        }
        if let Some(cause) = &mut report.cause {
            cause.detail = self.mask_cut_secret(&self.mask_text(&cause.detail));
            if let Some(limit) = &mut cause.limit {
                *limit = self.mask_text(limit).into_owned();
            }
        }
    }

    fn mask_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.mask_text(text).into_owned(),
            Value::Array(items) => items.iter_mut().for_each(|item| self.mask_value(item)),
            Value::Object(fields) => {
                let masked = std::mem::take(fields).into_iter().map(|(name, mut field)| {
                    self.mask_value(&mut field);
                    (self.mask_text(&name).into_owned(), field)
                });
                *fields = masked.collect();
            }
            Value::Number(_) => {
                if let Cow::Owned(masked) = self.mask_text(&value.to_string()) {
                    *value = Value::String(masked);
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// Masks the start of a secret at which a text was cut to fit.
    fn mask_cut_secret(&self, text: &str) -> String {
        let mut parts: Vec<String> = text.split(ELLIPSIS).map(str::to_owned).collect();
        let last = parts.len() - 1;
        for part in &mut parts[..last] {
            let cut_len = |secret: &Vec<u8>| {
                (MIN_CUT_BYTES..secret.len()).rev().find(|len| part.as_bytes().ends_with(&secret[..*len]))
            };
            let start = self.secrets.iter().filter_map(cut_len).max().map(|len| part.len() - len);
            if let Some(start) = start.filter(|start| part.is_char_boundary(*start)) {
                part.replace_range(start.., MASK);
            }
        }
        parts.join(ELLIPSIS)
    }

    /// Masks a text that is complete.
    pub(super) fn mask_text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut masked = Vec::with_capacity(text.len());
        mask_into(&self.secrets, text.as_bytes(), true, &mut masked);
        if masked == text.as_bytes() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(String::from_utf8_lossy(&masked).into_owned())
    }
}

/// Appends a text to `masked` with its secrets replaced: of those at one place the longest. Returns where it stopped: at what
/// may be the start of a secret, unless the text is `complete`.
fn mask_into(secrets: &[Vec<u8>], text: &[u8], complete: bool, masked: &mut Vec<u8>) -> usize {
    let mut at = 0;
    let may_start = |byte: u8| secrets.iter().any(|secret| secret.first() == Some(&byte));
    while at < text.len() {
        let rest = &text[at..];
        let plain = rest.iter().position(|byte| may_start(*byte)).unwrap_or(rest.len());
        masked.extend_from_slice(&rest[..plain]);
        at += plain;
        let rest = &rest[plain..];
        if rest.is_empty() {
            break;
        }
        if !complete && secrets.iter().any(|secret| secret.len() > rest.len() && secret.starts_with(rest)) {
            return at;
        }
        if let Some(secret) = secrets.iter().find(|secret| rest.starts_with(secret)) {
            masked.extend_from_slice(MASK.as_bytes());
            at += secret.len();
        } else {
            masked.push(rest[0]);
            at += 1;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn masker(values: &[&str]) -> SecretMasker {
        SecretMasker::new(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    fn masked(values: &[&str], pieces: &[&[u8]]) -> String {
        let mut masker = masker(values);
        let mut all = Vec::new();
        for piece in pieces {
            all.extend(masker.mask(Stream::Out, piece));
        }
        all.extend(masker.finish(Stream::Out));
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn a_secret_is_masked_however_it_is_cut() {
        let text = b"a hunter2 hunter hunter2hunter2 hunt";
        let expected = "a ••• hunter •••••• hunt";
        for len in 1..=text.len() {
            assert_eq!(masked(&["hunter2"], &text.chunks(len).collect::<Vec<_>>()), expected, "pieces of {len}");
        }
        assert_eq!(masked(&["ababab", "ababac"], &[b"abab", b"ac", b"ababab"]), "••••••");
        assert_eq!(masked(&["secret", "secret-long"], &[b"secret-long secret", b"-l"]), "••• •••-l");
        assert_eq!(masked(&["secret", "secret-long"], &[b"secret", b"-long"]), "•••");
        assert_eq!(masked(&["line one\nline two"], &[b"line two\r\nline one\nline two\n"]), "•••\r\n•••\n");
    }

    #[test]
    fn streams_are_apart_and_little_is_held_back() {
        let mut masker = masker(&["hunter2"]);
        assert_eq!(masker.mask(Stream::Out, b"xhun"), b"x");
        assert_eq!(masker.mask(Stream::Err, b"ter2"), b"ter2");
        assert_eq!(masker.mask(Stream::Out, b"ter3"), b"hunter3");
        assert_eq!(masker.mask(Stream::Out, &b"h".repeat(100_000)).len(), 99_999);
        assert_eq!(masker.finish(Stream::Out), b"h");
        assert!(SecretMasker::new(&["short".to_owned()]).is_none());
    }

    #[test]
    fn the_start_of_a_secret_is_masked_where_a_text_was_cut() {
        let masker = masker(&["hunter2", "hunter3-long"]);
        assert_eq!(masker.mask_cut_secret("a (searched /bin:/x/hunter3-l…)"), "a (searched /bin:/x/•••…)");
        assert_eq!(masker.mask_cut_secret("hunt x…"), "hunt x…");
    }

    #[test]
    fn values_are_masked_in_json() {
        let mut value = json!({"a": ["x hunter2"], "hunter2": 1, "n": 12_345_678, "b": true});
        masker(&["hunter2", "2345678"]).mask_value(&mut value);
        assert_eq!(value, json!({"a": ["x •••"], "•••": 1, "n": "1•••", "b": true}));
    }
}
