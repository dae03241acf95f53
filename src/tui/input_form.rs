//! The form for the inputs of queues, which opens before their jobs are requested.

use std::fmt;

use super::effect::Submission;
use super::keys::{KeyCode, KeyPress};
use super::line_editor::LineEditor;
use crate::model::{InputDeclaration, InputError, InputType, InputValues, MIN_SECRET_CHARS};
use crate::site::GivenInputs;

/// The form: a field for each input.
pub(super) struct InputForm {
    /// What it starts: `Start deploy`.
    pub(super) title: String,
    /// The fields. There is at least one.
    pub(super) fields: Vec<FormField>,
    /// The field that has the keys, by index.
    pub(super) focus: usize,
    /// The first visible line.
    pub(super) offset: usize,
    /// What is submitted with the values.
    submission: Submission,
}

/// A field of the form.
pub(super) struct FormField {
    /// The inputs with this name, of one queue or several. There is at least one.
    declared: Vec<InputDeclaration>,
    /// The value while it is edited.
    pub(super) value: FieldValue,
    /// The value of the last run, if that may be offered.
    pub(super) last: Option<String>,
    /// Why the value is refused.
    pub(super) error: Option<String>,
}

/// The value of a field while it is edited.
pub(super) enum FieldValue {
    /// A text or a number.
    Line(LineEditor),
    /// A text that isn't shown.
    Secret(LineEditor),
    /// One of the options, by index.
    Choice(Vec<String>, Option<usize>),
    /// True or false.
    Switch(Option<bool>),
}

/// What a key press in the form leads to.
pub(super) enum FormResponse {
    /// The form stays open.
    KeepOpen,
    /// The form is closed.
    Cancel,
    /// The values are complete.
    Submit(Submission),
}

impl InputForm {
    /// A form for these inputs.
    pub(super) fn new(title: String, fields: Vec<FormField>, submission: Submission) -> Self {
        // The first field that needs something.
        let focus = fields.iter().position(|field| field.is_required() && field.text().is_empty()).unwrap_or(0);
        Self { title, fields, focus, offset: 0, submission }
    }

    /// Handles a key press.
    pub(super) fn press(&mut self, key: KeyPress) -> FormResponse {
        let is = |code: char| key == KeyPress { code: KeyCode::Char(code), ctrl: true, alt: false };
        match key.code {
            KeyCode::Esc => return FormResponse::Cancel,
            _ if is('c') || is('g') => return FormResponse::Cancel,
            KeyCode::Enter => return self.submit(),
            KeyCode::Tab | KeyCode::Down => self.move_focus(1),
            KeyCode::BackTab | KeyCode::Up => self.move_focus(self.fields.len() - 1),
            _ if is('r') => self.fields.iter_mut().for_each(FormField::use_last),
            _ => {
                if let Some(field) = self.fields.get_mut(self.focus)
                    && field.value.press(key)
                {
                    field.error = None;
                }
            }
        }
        FormResponse::KeepOpen
    }

    /// Moves to a field.
    pub(super) fn focus_field(&mut self, index: usize) {
        if index != self.focus && index < self.fields.len() {
            self.move_focus(index + self.fields.len() - self.focus);
        }
    }

    /// The field that has the keys.
    pub(super) fn focused(&self) -> Option<&FormField> {
        self.fields.get(self.focus)
    }

    /// The line that is being typed, if the field has one.
    pub(super) fn line_mut(&mut self) -> Option<&mut LineEditor> {
        let field = self.fields.get_mut(self.focus)?;
        field.error = None;
        match &mut field.value {
            FieldValue::Line(line) | FieldValue::Secret(line) => Some(line),
            FieldValue::Choice(..) | FieldValue::Switch(_) => None,
        }
    }

    /// Whether a field offers the value of the last run.
    pub(super) fn offers_last(&self) -> bool {
        self.fields.iter().any(|field| field.last.is_some())
    }

    /// Moves on by this many fields. What was typed into a field is checked when it is left.
    fn move_focus(&mut self, by: usize) {
        if let Some(field) = self.fields.get_mut(self.focus)
            && !field.text().is_empty()
        {
            field.check();
        }
        self.focus = (self.focus + by) % self.fields.len();
    }

    fn submit(&mut self) -> FormResponse {
        self.fields.iter_mut().for_each(FormField::check);
        if let Some(wrong) = self.fields.iter().position(|field| field.error.is_some()) {
            self.focus = wrong;
            return FormResponse::KeepOpen;
        }
        let mut given = GivenInputs::default();
        for field in &self.fields {
            if let Some(value) = field.given_value() {
                given.insert(field.declaration(), value);
            }
        }
        FormResponse::Submit(Submission { inputs: given, ..self.submission.clone() })
    }
}

impl FormField {
    /// A field for an input that starts with its value in `values`, or else with its default.
    pub(super) fn new(declaration: InputDeclaration, values: &InputValues, last: &InputValues) -> Self {
        let valid = |values: &InputValues| {
            let value = values.get(&declaration.name).cloned().flatten();
            value.filter(|value| !declaration.is_secret() && declaration.check(value).is_ok())
        };
        let first = valid(values).or_else(|| declaration.default.clone());
        let last = valid(last).filter(|last| !last.is_empty() && Some(last) != first.as_ref());
        let value = FieldValue::new(&declaration.input_type, first.as_deref());
        Self { declared: vec![declaration], value, last, error: None }
    }

    /// The input. Of several, a secret comes first.
    pub(super) fn declaration(&self) -> &InputDeclaration {
        &self.declared[0]
    }

    /// Adds an input with the same name, of another queue.
    pub(super) fn add(&mut self, declaration: InputDeclaration) {
        if declaration.is_secret() && !self.declaration().is_secret() {
            self.value = FieldValue::new(&declaration.input_type, None);
            self.last = None;
            self.declared.insert(0, declaration);
        } else {
            self.declared.push(declaration);
        }
    }

    /// Whether this is a field for this input.
    pub(super) fn has_input(&self, input: &InputDeclaration) -> bool {
        self.declared.contains(input)
    }

    /// Whether there must be a value.
    pub(super) fn is_required(&self) -> bool {
        self.declared.iter().any(|declaration| declaration.default.is_none())
    }

    /// The value as text; empty where there is none.
    pub(super) fn text(&self) -> &str {
        match &self.value {
            FieldValue::Line(line) if self.declaration().input_type == InputType::Number => line.text().trim(),
            FieldValue::Line(line) | FieldValue::Secret(line) => line.text(),
            FieldValue::Choice(options, chosen) => {
                chosen.and_then(|chosen| options.get(chosen)).map_or("", String::as_str)
            }
            FieldValue::Switch(None) => "",
            FieldValue::Switch(Some(true)) => "true",
            FieldValue::Switch(Some(false)) => "false",
        }
    }

    /// The value to submit; none for the default of a secret.
    fn given_value(&self) -> Option<String> {
        let text = self.text();
        let uses_default = text.is_empty() && !self.is_required() && self.declaration().is_secret();
        (!uses_default).then(|| text.to_owned())
    }

    /// Records whether the value is refused.
    fn check(&mut self) {
        let refusal = match self.given_value() {
            None => None,
            Some(value) if value.is_empty() && self.is_required() => Some("A value is required.".to_owned()),
            Some(value) if self.declaration().is_secret() && value.chars().count() < MIN_SECRET_CHARS => {
                Some(format!("A secret needs at least {MIN_SECRET_CHARS} characters."))
            }
            Some(value) => self.declared.iter().find_map(|declaration| match declaration.check(&value) {
                Err(InputError::Invalid { expected, .. }) => Some(format!("Expected {expected}.")),
                Err(error) => Some(format!("{error}.")),
                Ok(()) => None,
            }),
        };
        self.error = refusal;
    }

    fn use_last(&mut self) {
        if let Some(last) = &self.last {
            self.value = FieldValue::new(&self.declaration().input_type, Some(last));
            self.error = None;
        }
    }
}

impl FieldValue {
    fn new(input_type: &InputType, value: Option<&str>) -> Self {
        match input_type {
            InputType::Text | InputType::Number => Self::Line(LineEditor::new(value.unwrap_or_default())),
            InputType::Secret => Self::Secret(LineEditor::default()),
            InputType::Bool => Self::Switch(value.map(|value| value == "true")),
            InputType::Options(options) => {
                let chosen = options.iter().position(|option| Some(option.as_str()) == value);
                Self::Choice(options.clone(), chosen)
            }
        }
    }

    /// Handles a key press; returns whether it did anything.
    fn press(&mut self, key: KeyPress) -> bool {
        let typed = key.typed_char();
        match self {
            Self::Line(line) | Self::Secret(line) => return line.press(key),
            Self::Switch(value) => {
                let pressed = match (key.code, typed) {
                    (KeyCode::Left | KeyCode::Right, _) | (_, Some(' ')) => !value.unwrap_or_default(),
                    (_, Some('t' | 'y' | 'T' | 'Y')) => true,
                    (_, Some('f' | 'n' | 'F' | 'N')) => false,
                    _ => return false,
                };
                *value = Some(pressed);
            }
            Self::Choice(options, chosen) => {
                let (count, before) = (options.len(), *chosen);
                let next = before.map_or(0, |before| (before + 1) % count);
                let pressed = match (key.code, typed) {
                    (KeyCode::Right, _) | (_, Some(' ')) => Some(next),
                    (KeyCode::Left, _) => Some(before.map_or(count - 1, |before| (before + count - 1) % count)),
                    (KeyCode::Home, _) => Some(0),
                    (KeyCode::End, _) => Some(count - 1),
                    // The next option that starts with this letter.
                    (_, Some(letter)) => (0..count).map(|step| (next + step) % count).find(|nth| {
                        options[*nth].chars().next().is_some_and(|first| first.eq_ignore_ascii_case(&letter))
                    }),
                    _ => None,
                };
                let Some(pressed) = pressed else { return false };
                *chosen = Some(pressed);
            }
        }
        true
    }
}

impl fmt::Debug for InputForm {
    // Without what was typed, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InputForm").field("title", &self.title).field("focus", &self.focus).finish_non_exhaustive()
    }
}
