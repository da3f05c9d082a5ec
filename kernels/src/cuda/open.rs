//! Opening a GPU.
#![expect(unsafe_code, reason = "turns off bookkeeping between streams, of which every node has its own")]

use std::mem::size_of;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;

use candle_core::cuda_backend::cudarc::driver::{CudaContext, result::mem_pool, sys};
use candle_core::{Device, Result, bail};

/// Opens GPU `number` with a stream of its own: all tensors made on this device stay on it, and all work is done in
/// order.
///
/// # Errors
///
/// If there is no such GPU, or NVIDIA's libraries are missing: the error names them.
pub fn open(number: usize) -> Result<Device> {
    let opened = quietly(|| Device::new_cuda_with_stream(number));
    let device = match opened {
        Ok(device) => device?,
        Err(complaint) => bail!("{complaint}"),
    };
    let cuda = device.as_cuda_device()?;
    let stream = cuda.cuda_stream();
    // SAFETY: no tensor of this device is used on another stream: a node has one device, and one thread that uses it.
    unsafe { cuda.disable_event_tracking() };
    keep_memory(stream.context())?;
    Ok(device)
}

/// The maker's name of an open GPU, for example "NVIDIA H100 80GB HBM3".
///
/// # Errors
///
/// If the driver fails.
pub fn name(device: &Device) -> Result<String> {
    let stream = device.as_cuda_device()?.cuda_stream();
    stream.context().name().map_err(candle_core::Error::wrap)
}

/// Catches the panic of a missing library, which is loaded at its first call: the panic's message, on one line.
fn quietly<R>(open: impl FnOnce() -> R) -> std::result::Result<R, String> {
    /// The panic hook is global.
    static HOOK: Mutex<()> = Mutex::new(());
    let guard = HOOK.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let opened = panic::catch_unwind(AssertUnwindSafe(open));
    panic::set_hook(hook);
    drop(guard);
    opened.map_err(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("NVIDIA's libraries do not start");
        // The message goes on to list all names that were tried.
        if let Some((_, rest)) = said.split_once("dynamically load the \"") {
            let library = rest.split('"').next().unwrap_or_default();
            return format!("NVIDIA's library {library} is not where programs look for it (docs/cuda.md)");
        }
        said.lines().next().unwrap_or(said).to_owned()
    })
}

/// Tells the driver to keep freed memory: by default every wait releases it, and every round allocates it again.
fn keep_memory(context: &CudaContext) -> Result<()> {
    let mut all = u64::MAX;
    context.bind_to_thread().map_err(candle_core::Error::wrap)?;
    // SAFETY: the attribute is a 64-bit number, which is read at once.
    let kept = unsafe {
        candle_core::cuda_backend::cudarc::driver::result::device::get_default_mem_pool(context.cu_device())
            .and_then(|pool| {
                mem_pool::set_attribute(
                    pool,
                    sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD,
                    (&raw mut all).cast(),
                )
            })
    };
    debug_assert_eq!(size_of::<u64>(), 8);
    kept.map_err(candle_core::Error::wrap)
}
