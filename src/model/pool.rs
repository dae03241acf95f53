//! Pools: named resources, of which jobs of all queues use some units while they run.
//!
//! Which units are held is derived from the running runs and never counted separately, so nothing can leak.
//!
//! A pool may have units for each value of a key, such as a customer. The name of its part for one value has that value in
//! brackets, which no name of a pool has: `api[acme]`. Where an input is the key, a job uses `api[${inputs.customer}]`
//! until its turn is decided.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::InputValues;

/// The size of each pool of a site.
pub type PoolSizes = BTreeMap<Arc<str>, u32>;

/// What a job uses while it runs: units of a pool, or a mutex, which is a pool of one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PoolUse {
    /// The name of the pool or the mutex.
    pub pool: Arc<str>,
    /// How many units; at least 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub count: u32,
    /// Whether it is a mutex, which no file has to declare.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mutex: bool,
}

/// The units of a pool that a run holds, by number from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolHold {
    /// The name of the pool.
    pub pool: Arc<str>,
    /// The units, in ascending order.
    pub units: Vec<u32>,
}

impl PoolUse {
    /// One unit of a pool.
    pub fn one_of(pool: impl Into<Arc<str>>) -> Self {
        Self { pool: pool.into(), count: 1, mutex: false }
    }

    /// A mutex.
    pub fn mutex(name: impl Into<Arc<str>>) -> Self {
        Self { mutex: true, ..Self::one_of(name) }
    }

    /// Units of the part of its pool for this key.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self { pool: format!("{}[{key}]", self.declared_pool()).into(), ..self.clone() }
    }

    /// The name of its pool as declared in the file, without a key.
    pub fn declared_pool(&self) -> &str {
        declared_pool(&self.pool)
    }

    /// The input that has the key.
    pub(super) fn key_input(&self) -> Option<&str> {
        self.pool.strip_suffix("}]")?.split_once("[${inputs.").map(|(_, input)| input)
    }

    /// The same with the key that an input has. Without a value, the run that would use it fails.
    pub(super) fn with_inputs(&self, values: &InputValues) -> Self {
        match self.key_input() {
            Some(input) => self.with_key(values.get(input).and_then(Option::as_deref).unwrap_or_default()),
            None => self.clone(),
        }
    }

    /// The size of its pool. A mutex has a size of one, and so has a pool that has left the file.
    pub fn pool_size(&self, sizes: &PoolSizes) -> u32 {
        let declared = sizes.get(self.declared_pool()).filter(|_| !self.mutex);
        declared.copied().unwrap_or(1).max(1)
    }
}

/// The name of a pool as declared in the file: `api` of `api[acme]`.
pub fn declared_pool(name: &str) -> &str {
    name.split_once('[').map_or(name, |(pool, _)| pool)
}

/// A pool in words: `gpu`, `api of acme`.
pub fn pool_title(name: &str) -> Cow<'_, str> {
    match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
        Some((pool, key)) if !key.is_empty() => Cow::Owned(format!("{pool} of {key}")),
        Some((pool, _)) => Cow::Borrowed(pool),
        None => Cow::Borrowed(name),
    }
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_one(count: &u32) -> bool {
    *count == 1
}
