use dib::Crossing;

use super::SentBlock;
use crate::Context;

/// No digital link: this program was built without the feature `digital`, and refuses scenarios with one.
pub enum DigitalLink {}

impl DigitalLink {
    /// None.
    pub fn new(_context: &Context, _k: usize, _t: usize) -> Option<Self> {
        None
    }

    /// Nothing is sent.
    pub fn send(&mut self, _crossing: &Crossing, _rows: usize, _payload: &[u8]) -> SentBlock {
        match *self {}
    }
}
