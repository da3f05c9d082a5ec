use tokio::sync::mpsc;

use crate::NodeError;

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
}

/// A machine on a thread of its own.
#[derive(Debug)]
pub struct Compute<I, O> {
    /// What goes in.
    pub inputs: mpsc::Sender<I>,
    /// What comes out; the last is the error that ended the thread, if one did.
    pub outputs: mpsc::UnboundedReceiver<Result<O, NodeError>>,
}

impl<I: Send + 'static, O: Send + 'static> Compute<I, O> {
    /// Builds a machine on a new thread (reading its data takes a while) and lets it run until its inputs end.
    /// Its matrix products may use so many threads.
    pub fn spawn<M>(
        threads: u16,
        build: impl FnOnce(&mut dyn FnMut(O)) -> Result<M, NodeError> + Send + 'static,
    ) -> Self
    where
        M: Machine<Input = I, Output = O>,
    {
        let (inputs, mut taken) = mpsc::channel(WAITING);
        let (emitted, outputs) = mpsc::unbounded_channel();
        let live = move || {
            let mut emit = |output| {
                // The async half is gone: so is the run, and this thread ends with its inputs.
                let _ = emitted.send(Ok(output));
            };
            let outcome = build(&mut emit).and_then(|mut machine| {
                while let Some(input) = taken.blocking_recv() {
                    machine.handle(input, &mut emit)?;
                }
                Ok(())
            });
            if let Err(error) = outcome {
                let _ = emitted.send(Err(error));
            }
        };
        std::thread::spawn(move || on_threads(threads, live));
        Compute { inputs, outputs }
    }

    /// The next output. A thread that ended without an error has panicked.
    pub async fn next(&mut self) -> Result<O, NodeError> {
        match self.outputs.recv().await {
            Some(output) => output,
            None => Err(NodeError::Lost {
                peer: "the compute thread".into(),
                reason: "it panicked; its message stands above".into(),
            }),
        }
    }
}

/// Runs `work` in a thread pool of its own, where the kernels find how many threads they may use.
fn on_threads(threads: u16, work: impl FnOnce() + Send) {
    if threads <= 1 {
        return work();
    }
    match rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build() {
        Ok(pool) => pool.install(work),
        Err(error) => {
            tracing::warn!(%error, threads, "no threads to be had: computing on one");
            work();
        }
    }
}
