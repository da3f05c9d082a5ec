use std::sync::Arc;

use page::Watch;
use scenario::Scenario;

use crate::rounds::Metrics;

/// No screen: this program was built without the feature `tui`.
pub(crate) enum Screen {}

impl Screen {
    pub(crate) fn open(_scenario: &Scenario, _watch: Arc<Watch>, _page: Option<String>) -> Option<Self> {
        None
    }

    pub(crate) fn round(&self, _metrics: &Metrics, _granted: &[Vec<f64>]) {
        match *self {}
    }
}
