//! Frames that will be needed soon, read in the background.
//!
//! What is read does not depend on when, so that this changes no result. A frame that is not there yet is read by whoever
//! needs it; one that turns out not to be needed is dropped when the next ones of its sensor are asked for.

use super::{
    frames::{Address, Frames},
    modality::Sensor,
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

/// Threads that read: one may wait for the disk while another decodes.
const READERS: usize = 2;

/// Values that are held of a sensor at most: 128 MiB of them. More are not read ahead.
const MOST_VALUES: usize = 1 << 25;

/// A frame, once somebody has read it; none if it cannot be read, which is for whoever needs it to say.
type Slot = OnceLock<Option<Vec<f32>>>;

/// Frames in the making, and the threads that make them, which end with it.
pub(crate) struct ReadAhead {
    frames: Arc<Frames>,
    slots: Mutex<HashMap<Address, Arc<Slot>>>,
    orders: Sender<(Address, Weak<Slot>)>,
}

impl ReadAhead {
    pub(crate) fn new(frames: Arc<Frames>) -> std::io::Result<Self> {
        let (orders, received) = channel();
        let received = Arc::new(Mutex::new(received));
        for number in 0..READERS {
            let (frames, received) = (frames.clone(), received.clone());
            thread::Builder::new()
                .name(format!("reader-{number}"))
                .spawn(move || work(&frames, &received))?;
        }
        Ok(ReadAhead { frames, slots: Mutex::default(), orders })
    }

    /// Has frames of one sensor read; those of it that were asked for before and are not among them are dropped.
    pub(crate) fn expect(&self, sensor: Sensor, addresses: impl Iterator<Item = Address>) {
        let mut slots = self.slots();
        let mut old: HashMap<Address, Arc<Slot>> =
            slots.extract_if(|address, _| address.sensor == sensor).collect();
        for address in addresses.take(MOST_VALUES / sensor.width()) {
            let slot = old.remove(&address).unwrap_or_else(|| {
                let slot = Arc::default();
                // Without readers whoever needs it reads it.
                let _ = self.orders.send((address, Arc::downgrade(&slot)));
                slot
            });
            slots.insert(address, slot);
        }
    }

    /// A frame that was asked for before: at hand, or read here and now unless a reader is just at it.
    pub(crate) fn take(&self, address: Address) -> Option<Vec<f32>> {
        let slot = self.slots().remove(&address)?;
        slot.get_or_init(|| read(&self.frames, address));
        // A reader that is about to look whether it is still needed may hold it, too.
        Arc::try_unwrap(slot).map_or_else(|slot| slot.get().cloned(), OnceLock::into_inner).flatten()
    }

    /// No panic can leave the table half changed.
    fn slots(&self) -> MutexGuard<'_, HashMap<Address, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads what is ordered, unless nobody wants it any more.
fn work(frames: &Frames, orders: &Mutex<Receiver<(Address, Weak<Slot>)>>) {
    loop {
        let order = orders.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((address, slot)) = order else { return };
        if let Some(slot) = slot.upgrade() {
            slot.get_or_init(|| read(frames, address));
        }
    }
}

fn read(frames: &Frames, address: Address) -> Option<Vec<f32>> {
    let mut values = vec![0.0; address.sensor.width()];
    frames.read(address, &mut values).ok().map(|()| values)
}
