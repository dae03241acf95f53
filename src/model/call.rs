//! What a job calls: a Rust function or a script.

use std::fmt;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Failure, Script};

/// What a job calls when it runs.
///
/// A script is data, so it can be stored and run by another process. A function exists only in this process.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// A program or a shell script.
    Script(Script),
    /// A function of this process.
    #[serde(skip)]
    Function(Arc<dyn Callable>),
}

/// A function that a job can call. [`IntoCall`] implements it for closures.
pub trait Callable: Send + Sync {
    /// Runs the function. `Ok(None)` means no value, which differs from an empty value.
    fn call(&self, arguments: &Arguments) -> Result<Option<Value>, Failure>;
}

/// The arguments passed to a call, positional and named.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Arguments {
    /// Positional arguments, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Value>,
    /// Named arguments, in the order given.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub kwargs: Map<String, Value>,
}

impl Arguments {
    /// Whether there are no arguments.
    pub fn is_empty(&self) -> bool {
        self.args.is_empty() && self.kwargs.is_empty()
    }

    /// The words that are passed to a program: the positional arguments, then the named ones as options.
    pub fn words(&self) -> Vec<String> {
        let mut words: Vec<String> = self.args.iter().map(to_word).collect();
        for (name, value) in &self.kwargs {
            match value {
                Value::Null | Value::Bool(false) => {}
                Value::Bool(true) => words.push(format!("--{name}")),
                value => words.extend([format!("--{name}"), to_word(value)]),
            }
        }
        words
    }

    /// An empty set of arguments. Most jobs have no arguments, so they share one allocation.
    pub fn shared_empty() -> Arc<Self> {
        static NONE: LazyLock<Arc<Arguments>> = LazyLock::new(Arc::default);
        Arc::clone(&NONE)
    }
}

fn to_word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Anything that a job can call. `Kind` only distinguishes the implementations; callers never name it.
pub trait IntoCall<Kind> {
    /// Converts it into a [`Call`].
    fn into_call(self) -> Call;
}

/// Anything that a function called by a job may return. `()` is an empty value; [`None`] is no value.
pub trait IntoReturnValue {
    /// Returns the value to record, or the failure.
    fn into_return_value(self) -> Result<Option<Value>, Failure>;
}

impl<F, R> IntoCall<fn() -> R> for F
where
    F: Fn() -> R + Send + Sync + 'static,
    R: IntoReturnValue,
{
    fn into_call(self) -> Call {
        Call::Function(Arc::new(Closure(move |_: &Arguments| self().into_return_value())))
    }
}

impl<F, R> IntoCall<fn(&Arguments) -> R> for F
where
    F: Fn(&Arguments) -> R + Send + Sync + 'static,
    R: IntoReturnValue,
{
    fn into_call(self) -> Call {
        Call::Function(Arc::new(Closure(move |arguments: &Arguments| self(arguments).into_return_value())))
    }
}

impl IntoCall<Script> for Script {
    fn into_call(self) -> Call {
        Call::Script(self)
    }
}

impl IntoCall<Call> for Call {
    fn into_call(self) -> Call {
        self
    }
}

struct Closure<F>(F);

impl<F> Callable for Closure<F>
where
    F: Fn(&Arguments) -> Result<Option<Value>, Failure> + Send + Sync,
{
    fn call(&self, arguments: &Arguments) -> Result<Option<Value>, Failure> {
        (self.0)(arguments)
    }
}

impl<T: IntoReturnValue, E: fmt::Display> IntoReturnValue for Result<T, E> {
    fn into_return_value(self) -> Result<Option<Value>, Failure> {
        self.map_err(|error| Failure::error(error.to_string()))?.into_return_value()
    }
}

impl<T: IntoReturnValue> IntoReturnValue for Option<T> {
    fn into_return_value(self) -> Result<Option<Value>, Failure> {
        self.map_or(Ok(None), IntoReturnValue::into_return_value)
    }
}

impl IntoReturnValue for () {
    fn into_return_value(self) -> Result<Option<Value>, Failure> {
        Ok(Some(Value::Null))
    }
}

macro_rules! returned {
    ($($kind:ty),*) => {$(
        impl IntoReturnValue for $kind {
            fn into_return_value(self) -> Result<Option<Value>, Failure> {
                Ok(Some(self.into()))
            }
        }
    )*};
}
returned!(Value, bool, String, &'static str, i32, i64, u32, u64, usize, f64, Vec<Value>, Map<String, Value>);

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Script(script) => script.fmt(f),
            Self::Function(_) => f.write_str("Function"),
        }
    }
}

impl PartialEq for Call {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Script(a), Self::Script(b)) => a == b,
            (Self::Function(a), Self::Function(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}
