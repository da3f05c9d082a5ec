//! Rows that will be needed soon, made in the background.
//!
//! What they hold does not depend on when they are made, so that this changes no result. A row that is not there yet is
//! made by whoever needs it; one that turns out not to be needed is dropped when the next ones of its kind are asked
//! for.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

/// Threads that make rows: one may wait for the disk while another decodes.
const READERS: usize = 2;

/// Values that are held of a kind at most: 128 MiB of them. More are not made ahead.
const MOST_VALUES: usize = 1 << 25;

/// A row, once somebody has made it; none if it cannot be made, which is for whoever needs it to say.
type Slot = OnceLock<Option<Vec<f32>>>;

/// What makes the row of an address.
type Make<A> = dyn Fn(A) -> Option<Vec<f32>> + Send + Sync;

/// Rows in the making, by their addresses, and the threads that make them, which end with it.
pub(crate) struct ReadAhead<A> {
    make: Arc<Make<A>>,
    slots: Mutex<HashMap<A, Arc<Slot>>>,
    orders: Sender<(A, Weak<Slot>)>,
}

impl<A: Copy + Eq + Hash + Send + 'static> ReadAhead<A> {
    pub(crate) fn new(make: impl Fn(A) -> Option<Vec<f32>> + Send + Sync + 'static) -> std::io::Result<Self> {
        let make: Arc<Make<A>> = Arc::new(make);
        let (orders, received) = channel();
        let received = Arc::new(Mutex::new(received));
        for number in 0..READERS {
            let (make, received) = (make.clone(), received.clone());
            thread::Builder::new()
                .name(format!("reader-{number}"))
                .spawn(move || work(make.as_ref(), &received))?;
        }
        Ok(ReadAhead { make, slots: Mutex::default(), orders })
    }

    /// Has rows of one kind made, of so many values each; those of the kind that were asked for before and are not
    /// among them are dropped.
    pub(crate) fn expect(
        &self,
        is_of_kind: impl Fn(&A) -> bool,
        width: usize,
        addresses: impl Iterator<Item = A>,
    ) {
        let mut slots = self.slots();
        let mut old: HashMap<A, Arc<Slot>> = slots.extract_if(|address, _| is_of_kind(address)).collect();
        for address in addresses.take(MOST_VALUES / width) {
            let slot = old.remove(&address).unwrap_or_else(|| {
                let slot = Arc::default();
                // Without readers whoever needs it makes it.
                let _ = self.orders.send((address, Arc::downgrade(&slot)));
                slot
            });
            slots.insert(address, slot);
        }
    }

    /// A row that was asked for before: at hand, or made here and now unless a reader is just at it.
    pub(crate) fn take(&self, address: A) -> Option<Vec<f32>> {
        let slot = self.slots().remove(&address)?;
        slot.get_or_init(|| (self.make)(address));
        // A reader that is about to look whether it is still needed may hold it, too.
        Arc::try_unwrap(slot).map_or_else(|slot| slot.get().cloned(), OnceLock::into_inner).flatten()
    }

    /// No panic can leave the table half changed.
    fn slots(&self) -> MutexGuard<'_, HashMap<A, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes what is ordered, unless nobody wants it any more.
fn work<A: Copy>(make: &Make<A>, orders: &Mutex<Receiver<(A, Weak<Slot>)>>) {
    loop {
        let order = orders.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((address, slot)) = order else { return };
        if let Some(slot) = slot.upgrade() {
            slot.get_or_init(|| make(address));
        }
    }
}
