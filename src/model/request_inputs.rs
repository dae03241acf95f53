//! What a request gives to the jobs that it runs, besides the environment.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{InputValues, Snapshot};

/// What a request gives to the jobs that it runs, besides the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestInputs {
    /// The values for the inputs of their queue.
    #[serde(flatten)]
    pub values: InputValues,
    /// The files that those of them with `snapshot` run on. No input has this name.
    #[serde(rename = "$snapshot", default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Arc<Snapshot>>,
}

impl RequestInputs {
    /// What a request gives; `None` if that is nothing.
    pub fn of(values: InputValues, snapshot: Option<Arc<Snapshot>>) -> Option<Arc<Self>> {
        let is_empty = values.is_empty() && snapshot.is_none();
        (!is_empty).then(|| Arc::new(Self { values, snapshot }))
    }

    /// What the request for a job gives to it and, as far as that is nothing, the request for its queue.
    pub(crate) fn of_job_or_queue(of_job: Option<&Arc<Self>>, of_queue: Option<&Arc<Self>>) -> Option<Arc<Self>> {
        let (Some(own), Some(shared)) = (of_job, of_queue) else { return of_job.or(of_queue).cloned() };
        let values = if own.values.is_empty() { &shared.values } else { &own.values };
        Self::of(values.clone(), own.snapshot.as_ref().or(shared.snapshot.as_ref()).cloned())
    }

    /// The same values with this snapshot.
    pub(super) fn with_snapshot(inputs: Option<&Arc<Self>>, snapshot: &Arc<Snapshot>) -> Option<Arc<Self>> {
        let values = inputs.map(|inputs| inputs.values.clone()).unwrap_or_default();
        Self::of(values, Some(Arc::clone(snapshot)))
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn snapshot() -> Arc<Snapshot> {
        Arc::new(Snapshot {
            commit: "a1b2c3d4e5f60718293a4b5c6d7e8f9012345678".to_owned(),
            repository: "/work".into(),
            branch: Some("main".to_owned()),
            has_changes: true,
            at: DateTime::UNIX_EPOCH,
            host: "here".to_owned(),
            at_start: false,
        })
    }

    fn values(value: &str) -> InputValues {
        InputValues::from([("env".into(), Some(value.to_owned()))])
    }

    #[test]
    fn what_earlier_versions_have_stored_is_read() {
        let read: RequestInputs = serde_json::from_str(r#"{"env":"prod","token":null}"#).unwrap();
        let expected = InputValues::from([("env".into(), Some("prod".to_owned())), ("token".into(), None)]);
        assert_eq!(read, RequestInputs { values: expected, snapshot: None });
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"{"env":"prod","token":null}"#);
    }

    #[test]
    fn a_snapshot_is_stored_beside_the_values() {
        let stored = RequestInputs { values: values("prod"), snapshot: Some(snapshot()) };
        let text = serde_json::to_string(&stored).unwrap();
        assert_eq!(serde_json::from_str::<RequestInputs>(&text).unwrap(), stored);
    }

    #[test]
    fn a_job_that_was_added_with_a_snapshot_gets_the_values_of_its_queue() {
        let of_job = RequestInputs::of(InputValues::new(), Some(snapshot()));
        let of_queue = RequestInputs::of(values("prod"), None);
        let both = RequestInputs::of_job_or_queue(of_job.as_ref(), of_queue.as_ref());
        assert_eq!(both, RequestInputs::of(values("prod"), Some(snapshot())));
        assert_eq!(RequestInputs::of_job_or_queue(None, of_queue.as_ref()), of_queue);
        let own = RequestInputs::of(values("staging"), None);
        assert_eq!(RequestInputs::of_job_or_queue(own.as_ref(), of_queue.as_ref()), own);
    }
}
