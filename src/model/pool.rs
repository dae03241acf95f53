//! Pools: named resources, of which jobs of all queues use some units while they run.
//!
//! Which units are held is derived from the running runs and never counted separately, so nothing can leak.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

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

    /// The size of its pool. A mutex has a size of one, and so has a pool that has left the file.
    pub fn pool_size(&self, sizes: &PoolSizes) -> u32 {
        let declared = sizes.get(&self.pool).filter(|_| !self.mutex);
        declared.copied().unwrap_or(1).max(1)
    }
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_one(count: &u32) -> bool {
    *count == 1
}
