pub(crate) mod context;
pub(crate) mod device;
pub(crate) mod kept;
pub(crate) mod profiler;
pub(crate) mod state;
pub(crate) mod validation;

pub use context::Context;
pub use device::{device_name, resolve_device};
pub use kept::{all_kept, restore_data};
pub use profiler::{Profiler, ProfilerPhase};
pub use state::{is_parameter, pack_state, restore, save, unpack_state};
pub use validation::{first_pass, is_validation};

use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::{Activity, Awaited, NodeError, Options};

/// How many inputs may wait; beyond that the links are made to wait. Outputs never wait: the protocol bounds them, and a
/// thread that waits to be heard while its inputs wait for it would wait for ever.
const WAITING: usize = 64;

/// The compute half of a node: a state machine.
pub trait Machine: 'static {
    /// What goes in.
    type Input: Send + 'static;
    /// What comes out.
    type Output: Send + 'static;

    /// Takes one input and emits what follows from it, as early as it is known.
    fn handle(&mut self, input: Self::Input, emit: &mut dyn FnMut(Self::Output)) -> Result<(), NodeError>;

    /// What it needs before it can go on: so a network that stands still can say whom it waits for.
    fn awaited(&self) -> Awaited;
}

/// How a node sets a machine to work: from what it knows of the run, what it was told, and its state at the checkpoint from
/// which the run goes on. The machine writes down what it does.
pub type Employ<I, O> = dyn Fn(Context, &Options, Option<Vec<u8>>, Activity) -> Compute<I, O> + Sync;

/// The threads of this process's machines, until they have ended.
static THREADS: Mutex<Vec<JoinHandle<()>>> = Mutex::new(Vec::new());

/// How long a process that ends waits for a machine that is in the middle of something, and how often it looks.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_millis(2));

/// Waits for the threads of all machines, whose inputs must have ended. A process that ended around them could take the driver of a
/// GPU away from a thread that is still giving back what it holds there.
pub fn join_machines() {
    let start = Instant::now();
    for thread in std::mem::take(&mut *THREADS.lock().unwrap_or_else(PoisonError::into_inner)) {
        while !thread.is_finished() && start.elapsed() < PATIENCE.0 {
            std::thread::sleep(PATIENCE.1);
        }
        if thread.is_finished() {
            // All of it has ended, what belongs to the thread alone too. One that has panicked has said so.
            let _ = thread.join();
        }
    }
}

/// A machine at work.
#[derive(Debug)]
pub struct Compute<I, O> {
    /// What goes in.
    pub inputs: mpsc::Sender<I>,
    /// What comes out; the last is the error that ended the machine, if one did.
    pub outputs: mpsc::UnboundedReceiver<Result<O, NodeError>>,
}

/// A machine, and the ways in and out of it.
struct Worker<I, O> {
    taken: mpsc::Receiver<I>,
    emitted: mpsc::UnboundedSender<Result<O, NodeError>>,
    activity: Activity,
}

impl<I: Send + 'static, O: Send + 'static> Compute<I, O> {
    /// Builds a machine on a new thread (reading its data takes a while) and lets it run until its inputs end.
    /// Its matrix products may use so many threads.
    pub fn spawn<M>(
        threads: u16,
        activity: Activity,
        build: impl FnOnce(&mut dyn FnMut(O)) -> Result<M, NodeError> + Send + 'static,
    ) -> Self
    where
        M: Machine<Input = I, Output = O>,
    {
        let (compute, mut worker) = Self::channels(activity);
        let live = move || {
            let Some(mut machine) = worker.build(build) else { return };
            while let Some(input) = worker.taken.blocking_recv() {
                if !worker.handle(&mut machine, input) {
                    return;
                }
            }
        };
        let thread = std::thread::spawn(move || on_threads(threads, live));
        let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        compute
    }

    /// Builds a machine and lets it run among the tasks that feed it, without a thread: in simulated time, which no thread
    /// would follow. Needs a runtime.
    pub fn inline<M>(
        activity: Activity,
        build: impl FnOnce(&mut dyn FnMut(O)) -> Result<M, NodeError>,
    ) -> Self
    where
        M: Machine<Input = I, Output = O> + Send,
    {
        let (compute, mut worker) = Self::channels(activity);
        if let Some(mut machine) = worker.build(build) {
            tokio::spawn(async move {
                while let Some(input) = worker.taken.recv().await {
                    if !worker.handle(&mut machine, input) {
                        return;
                    }
                }
            });
        }
        compute
    }

    fn channels(activity: Activity) -> (Self, Worker<I, O>) {
        let (inputs, taken) = mpsc::channel(WAITING);
        let (emitted, outputs) = mpsc::unbounded_channel();
        (Compute { inputs, outputs }, Worker { taken, emitted, activity })
    }

    /// The next output. A thread that ended without an error has panicked.
    pub async fn next(&mut self) -> Result<O, NodeError> {
        match self.outputs.recv().await {
            Some(output) => output,
            None => Err(NodeError::Panicked),
        }
    }
}

impl<I, O> Worker<I, O> {
    fn build<M: Machine<Input = I, Output = O>>(
        &self,
        build: impl FnOnce(&mut dyn FnMut(O)) -> Result<M, NodeError>,
    ) -> Option<M> {
        // If the async half is gone, so is the run, and this machine ends with its inputs.
        let built = build(&mut |output| drop(self.emitted.send(Ok(output))));
        let machine = built.map_err(|error| drop(self.emitted.send(Err(error)))).ok()?;
        self.activity.awaits(machine.awaited());
        Some(machine)
    }

    /// Gives the machine an input; false if it could not go on.
    fn handle<M: Machine<Input = I, Output = O>>(&self, machine: &mut M, input: I) -> bool {
        self.activity.computes();
        let outcome = machine.handle(input, &mut |output| drop(self.emitted.send(Ok(output))));
        self.activity.awaits(machine.awaited());
        outcome.map_err(|error| drop(self.emitted.send(Err(error)))).is_ok()
    }
}

/// What comes of every item, in their order: on the threads that this thread may use, if it may use several.
pub fn in_parallel<T: Sync, R: Send>(items: &[T], make: impl Fn(&T) -> R + Sync) -> Vec<R> {
    use rayon::prelude::*;

    match rayon::current_thread_index() {
        Some(_) if rayon::current_num_threads() > 1 => items.par_iter().map(&make).collect(),
        _ => items.iter().map(make).collect(),
    }
}

/// Runs `work` in a thread pool of its own, where the kernels find how many threads they may use.
pub fn on_threads<R: Send>(threads: u16, work: impl FnOnce() -> R + Send) -> R {
    if threads <= 1 {
        return work();
    }
    match rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build() {
        Ok(pool) => pool.install(work),
        Err(error) => {
            tracing::warn!(%error, threads, "no threads to be had: computing on one");
            work()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Takes its time to give back what it holds.
    struct Slow(Arc<AtomicBool>);

    impl Machine for Slow {
        type Input = ();
        type Output = ();

        fn handle(&mut self, (): (), _: &mut dyn FnMut(())) -> Result<(), NodeError> {
            Ok(())
        }

        fn awaited(&self) -> Awaited {
            Awaited { version: 0, peers: Vec::new() }
        }
    }

    impl Drop for Slow {
        fn drop(&mut self) {
            std::thread::sleep(Duration::from_millis(200));
            self.0.store(true, Ordering::Release);
        }
    }

    #[test]
    fn a_machine_whose_inputs_have_ended_is_waited_for_until_it_is_gone() {
        let gone = Arc::new(AtomicBool::new(false));
        let machine = Slow(gone.clone());
        drop(Compute::spawn(1, Activity::preparing(), move |_| Ok(machine)));
        join_machines();
        assert!(gone.load(Ordering::Acquire));
    }
}
