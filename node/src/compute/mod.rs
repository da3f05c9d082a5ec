pub(crate) mod context;
pub(crate) mod device;
pub(crate) mod kept;
pub(crate) mod profiler;
pub(crate) mod state;
pub(crate) mod validation;
pub(crate) mod weighting;

pub use context::{BATCHES_UNDER_WAY, Context};
pub use device::{device_name, resolve_device};
pub use kept::{all_kept, restore_data};
pub use profiler::{Profiler, ProfilerPhase, Stopwatch};
pub use state::{is_parameter, pack_state, reloaded, restore, save, unpack_state};
pub use validation::{first_pass, is_validation};
pub use weighting::Weighting;

use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::{Activity, Awaited, NodeError, Options};

/// How many inputs may wait; beyond that the links block. Outputs are never limited here, since the protocol bounds
/// them, and a thread blocked on its outputs while its inputs wait for it would deadlock.
const WAITING: usize = 64;

/// The compute half of a node: a state machine.
pub trait Machine: 'static {
    /// Type of the inputs.
    type Input: Send + 'static;
    /// Type of the outputs.
    type Output: Send + 'static;

    /// Takes one input and emits its results as early as they are known.
    ///
    /// # Errors
    ///
    /// If the input breaks the protocol, or the computation fails: the node then ends with this error.
    fn handle(&mut self, input: Self::Input, emit: &mut dyn FnMut(Self::Output)) -> Result<(), NodeError>;

    /// The messages that it needs to continue, for the diagnosis of a stalled network.
    fn awaited(&self) -> Awaited;
}

/// How a node starts a machine: from the run's context, the node's options, and its state at the checkpoint from which
/// the run continues. The machine records its activity.
pub type Employ<I, O> = dyn Fn(Context, &Options, Option<Vec<u8>>, Activity) -> Compute<I, O> + Sync;

/// The threads of this process's machines, until they have ended.
static THREADS: Mutex<Vec<JoinHandle<()>>> = Mutex::new(Vec::new());

/// How long a process that ends waits for a busy machine, and how often it checks.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_millis(2));

/// Waits for the threads of all machines, whose inputs must have ended. A process that ended earlier could unload the
/// GPU driver while a thread still releases memory there.
pub fn join_machines() {
    let start = Instant::now();
    for thread in std::mem::take(&mut *THREADS.lock().unwrap_or_else(PoisonError::into_inner)) {
        while !thread.is_finished() && start.elapsed() < PATIENCE.0 {
            std::thread::sleep(PATIENCE.1);
        }
        if thread.is_finished() {
            // The thread and its thread-local values have ended. A panic has been printed already.
            let _ = thread.join();
        }
    }
}

/// A running machine.
#[derive(Debug)]
pub struct Compute<I, O> {
    /// Its inputs.
    pub inputs: mpsc::Sender<I>,
    /// Its outputs; the last is the error that ended the machine, if any.
    pub outputs: mpsc::UnboundedReceiver<Result<O, NodeError>>,
}

/// A machine with its inputs and outputs.
struct Worker<I, O> {
    taken: mpsc::Receiver<I>,
    emitted: mpsc::UnboundedSender<Result<O, NodeError>>,
    activity: Activity,
}

impl<I: Send + 'static, O: Send + 'static> Compute<I, O> {
    /// Builds a machine on a new thread (reading its data takes a while) and runs it until its inputs end. Its matrix
    /// products use up to `threads` threads.
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

    /// Builds a machine and runs it as a task beside those that feed it, without a thread of its own, since threads do
    /// not follow simulated time. Needs a runtime.
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

    /// The next output. If the thread ended without an error, it panicked.
    ///
    /// # Errors
    ///
    /// The error that ended the machine, or [`NodeError::Panicked`].
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

    /// Gives the machine an input; false if it failed.
    fn handle<M: Machine<Input = I, Output = O>>(&self, machine: &mut M, input: I) -> bool {
        self.activity.computes();
        let outcome = machine.handle(input, &mut |output| drop(self.emitted.send(Ok(output))));
        self.activity.awaits(machine.awaited());
        outcome.map_err(|error| drop(self.emitted.send(Err(error)))).is_ok()
    }
}

/// Maps every item, in order, on as many threads as this thread may use.
pub fn in_parallel<T: Sync, R: Send>(items: &[T], make: impl Fn(&T) -> R + Sync) -> Vec<R> {
    use rayon::prelude::*;

    match rayon::current_thread_index() {
        Some(_) if rayon::current_num_threads() > 1 => items.par_iter().map(&make).collect(),
        _ => items.iter().map(make).collect(),
    }
}

/// Runs `work` in a thread pool of its own, from which the kernels take their number of threads.
pub fn on_threads<R: Send>(threads: u16, work: impl FnOnce() -> R + Send) -> R {
    if threads <= 1 {
        return surrounded(work);
    }
    match rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build() {
        Ok(pool) => pool.install(|| surrounded(work)),
        Err(error) => {
            tracing::warn!(%error, threads, "no threads to be had: computing on one");
            surrounded(work)
        }
    }
}

/// What a program does around all computing of a thread: it calls its argument once.
pub type Surroundings = dyn Fn(&mut (dyn FnMut() + Send)) + Send + Sync;

/// That of this process, if its program has any.
static SURROUNDINGS: OnceLock<Box<Surroundings>> = OnceLock::new();

/// Lets the threads of this process compute within `surroundings`: where networks are computed by an interpreter, its
/// state of the thread is to last as long as the thread's work. Only the first call has an effect.
pub fn compute_within(surroundings: Box<Surroundings>) {
    let _ = SURROUNDINGS.set(surroundings);
}

fn surrounded<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let Some(surroundings) = SURROUNDINGS.get() else { return work() };
    let (mut work, mut result) = (Some(work), None);
    surroundings(&mut || result = work.take().map(|work| work()));
    result.expect("surroundings call what they surround")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Takes a while to drop.
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
