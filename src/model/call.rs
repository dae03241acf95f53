//! What a job calls: any Rust function, or a script.

use std::fmt;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Failure, Script};

/// What is called when a job runs.
///
/// A script is data, so it can be stored and run by another process; a function lives only in this one.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// A program or a shell script.
    Script(Script),
    /// A function of this process.
    #[serde(skip)]
    Function(Arc<dyn Callable>),
}

/// A function that a job can call; closures become one through [`IntoCall`].
pub trait Callable: Send + Sync {
    /// Runs it. `Ok(None)` means that there is no value, which differs from an empty one.
    fn call(&self, arguments: &Arguments) -> Result<Option<Value>, Failure>;
}

/// What is passed to the callable, positional and by name.
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
    /// Whether nothing is passed.
    pub fn is_empty(&self) -> bool {
        self.args.is_empty() && self.kwargs.is_empty()
    }

    /// What is passed to most jobs, which share it.
    pub fn none() -> Arc<Self> {
        static NONE: LazyLock<Arc<Arguments>> = LazyLock::new(Arc::default);
        Arc::clone(&NONE)
    }
}

/// Anything that a job can call. `Kind` only tells the implementations apart; callers never name it.
pub trait IntoCall<Kind> {
    /// Makes it callable by a job.
    fn into_call(self) -> Call;
}

/// Anything that a function called by a job may return. `()` is an empty value, a [`None`] is no value.
pub trait Returned {
    /// The value to record, or the failure.
    fn returned(self) -> Result<Option<Value>, Failure>;
}

impl<F, R> IntoCall<fn() -> R> for F
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Returned,
{
    fn into_call(self) -> Call {
        Call::Function(Arc::new(Closure(move |_: &Arguments| self().returned())))
    }
}

impl<F, R> IntoCall<fn(&Arguments) -> R> for F
where
    F: Fn(&Arguments) -> R + Send + Sync + 'static,
    R: Returned,
{
    fn into_call(self) -> Call {
        Call::Function(Arc::new(Closure(move |arguments: &Arguments| self(arguments).returned())))
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

impl<T: Returned, E: fmt::Display> Returned for Result<T, E> {
    fn returned(self) -> Result<Option<Value>, Failure> {
        self.map_err(|error| Failure::error(error.to_string()))?.returned()
    }
}

impl<T: Returned> Returned for Option<T> {
    fn returned(self) -> Result<Option<Value>, Failure> {
        self.map_or(Ok(None), Returned::returned)
    }
}

impl Returned for () {
    fn returned(self) -> Result<Option<Value>, Failure> {
        Ok(Some(Value::Null))
    }
}

macro_rules! returned {
    ($($kind:ty),*) => {$(
        impl Returned for $kind {
            fn returned(self) -> Result<Option<Value>, Failure> {
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
