//! Kernel launches: the one place where operands become pointers.
//!
//! Only the tests that compare every operation with the CPU's check a kernel against its arguments: so callers keep
//! shapes and kernel together, in one function for each operation.
#![expect(unsafe_code, reason = "kernels take raw pointers, and are trusted to keep to their operands")]

use std::cell::RefCell;
use std::collections::HashMap;

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::cublas::{result as blas, sys as blas_types};
use candle_core::cuda_backend::cudarc::driver::sys::CUdeviceptr;
use candle_core::cuda_backend::cudarc::driver::{
    CudaFunction, CudaSlice, DevicePtr, DeviceRepr, LaunchArgs, LaunchConfig, PushKernelArg, ValidAsZeroBits,
};
use candle_core::cuda_backend::{CudaDType, DeviceId, WrapErr};
use candle_core::{CudaDevice, CudaStorage, Layout, Result, bail};

/// Compiled kernels.
pub(crate) struct Module {
    pub(crate) name: &'static str,
    pub(crate) ptx: &'static str,
}

/// The kernels of one of the files in `kernels/cuda`.
macro_rules! module {
    ($name:literal) => {
        $crate::cuda::launch::Module {
            name: concat!("pom2dib-", $name),
            ptx: include_str!(concat!(env!("OUT_DIR"), "/", $name, ".ptx")),
        }
    };
}
pub(crate) use module;

/// The numbers that kernels compute with.
pub trait CudaReal: CudaDType + DeviceRepr + ValidAsZeroBits {
    /// Suffix of the names of this type's kernels.
    const SUFFIX: &'static str;

    /// C = A B + `keep` C of column-major matrices, as cuBLAS has it.
    ///
    /// # Safety
    ///
    /// The pointers must be those of matrices of these shapes on the handle's device.
    ///
    /// # Errors
    ///
    /// If cuBLAS refuses the call.
    unsafe fn multiply(call: &Multiplication) -> std::result::Result<(), blas::CublasError>;
}

/// A call of cuBLAS: C [m, n] = A [m, k] B [k, n], column by column.
pub struct Multiplication {
    handle: blas_types::cublasHandle_t,
    transposes: [blas_types::cublasOperation_t; 2],
    m: i32,
    n: i32,
    k: i32,
    a: (CUdeviceptr, i32),
    b: (CUdeviceptr, i32),
    c: (CUdeviceptr, i32),
    keep: bool,
}

macro_rules! cuda_real {
    ($type:ty, $suffix:literal, $gemm:path) => {
        impl CudaReal for $type {
            const SUFFIX: &'static str = $suffix;

            unsafe fn multiply(call: &Multiplication) -> std::result::Result<(), blas::CublasError> {
                let Multiplication {
                    handle,
                    transposes: [a_transposed, b_transposed],
                    m,
                    n,
                    k,
                    a,
                    b,
                    c,
                    keep,
                } = call;
                let (one, keep): ($type, $type) = (1.0, if *keep { 1.0 } else { 0.0 });
                // SAFETY: passed on from the caller; the factors outlive the call, which reads them at once.
                unsafe {
                    $gemm(
                        *handle,
                        *a_transposed,
                        *b_transposed,
                        *m,
                        *n,
                        *k,
                        &one,
                        a.0 as *const $type,
                        a.1,
                        b.0 as *const $type,
                        b.1,
                        &keep,
                        c.0 as *mut $type,
                        c.1,
                    )
                }
            }
        }
    };
}
cuda_real!(f32, "f32", blas::sgemm);
cuda_real!(f64, "f64", blas::dgemm);

/// A contiguous operand on the device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operand {
    pub(crate) pointer: CUdeviceptr,
    /// How many numbers it has.
    pub(crate) size: usize,
}

/// An operand whose rows lie apart: some columns of a wider matrix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strided {
    pub(crate) operand: Operand,
    /// Distance between rows, in numbers.
    pub(crate) stride: usize,
}

/// An operand of two dimensions whose rows are contiguous.
pub(crate) fn strided<T: CudaDType>(storage: &CudaStorage, layout: &Layout) -> Result<Strided> {
    let (rows, width) = layout.shape().dims2()?;
    let &[stride, step] = layout.stride() else { bail!("a matrix has two strides") };
    if step != 1 && width > 1 {
        bail!("rows of an operand of shape {:?} are not contiguous", layout.shape());
    }
    let operand = part(storage.as_cuda_slice::<T>()?, storage.device(), layout.start_offset(), rows * width);
    Ok(Strided { operand, stride })
}

/// An operand that a kernel reads or writes. Work of one stream is done in order, so no wait is needed.
pub(crate) fn operand<T: CudaDType>(storage: &CudaStorage, layout: &Layout) -> Result<Operand> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("an operand of shape {:?} is not contiguous", layout.shape());
    };
    Ok(part(storage.as_cuda_slice::<T>()?, storage.device(), start, end - start))
}

fn part<T>(slice: &CudaSlice<T>, device: &CudaDevice, start: usize, size: usize) -> Operand {
    let (pointer, _) = slice.device_ptr(&device.cuda_stream());
    Operand { pointer: pointer + (start * size_of::<T>()) as CUdeviceptr, size }
}

/// Memory for a result that its kernel fills.
pub(crate) struct Fresh<T: CudaReal> {
    slice: CudaSlice<T>,
    size: usize,
    device: CudaDevice,
}

impl<T: CudaReal> Fresh<T> {
    pub(crate) fn new(device: &CudaDevice, size: usize) -> Result<Self> {
        // SAFETY: every kernel writes all of its result before it is read, and any bits are a valid number. The driver
        // refuses allocations of size 0.
        let slice = unsafe { device.alloc::<T>(size.max(1))? };
        Ok(Fresh { slice, size, device: device.clone() })
    }

    pub(crate) fn operand(&self) -> Operand {
        part(&self.slice, &self.device, 0, self.size)
    }

    pub(crate) fn into_storage(self) -> CudaStorage {
        CudaStorage::wrap_cuda_slice(self.slice, self.device)
    }
}

/// Flags on the device, a 32-bit number each.
pub(crate) struct Marks {
    slice: CudaSlice<u32>,
    device: CudaDevice,
}

impl Marks {
    pub(crate) fn new(device: &CudaDevice, marks: &[bool]) -> Result<Self> {
        let numbers: Vec<u32> = marks.iter().map(|&mark| u32::from(mark)).collect();
        Ok(Marks { slice: device.clone_htod(&numbers)?, device: device.clone() })
    }

    pub(crate) fn operand(&self) -> Operand {
        part(&self.slice, &self.device, 0, self.slice.len())
    }
}

/// A kernel argument.
pub(crate) enum Argument<'a> {
    Operand(Operand),
    Count(u32),
    Number(f64),
    Table(&'a dyn Table),
}

/// A table that a kernel takes by value. Only types whose layout is promised to the driver are: `DeviceRepr` is unsafe
/// to implement.
pub(crate) trait Table {
    fn pass<'a>(&'a self, launch: &mut LaunchArgs<'a>);
}

impl<T: DeviceRepr> Table for T {
    fn pass<'a>(&'a self, launch: &mut LaunchArgs<'a>) {
        launch.arg(self);
    }
}

/// Blocks of a launch, and threads of a block.
#[derive(Clone, Copy)]
pub(crate) struct Grid {
    pub(crate) blocks: (usize, usize),
    pub(crate) threads: (u32, u32),
}

impl Grid {
    /// A grid for kernels that loop over `elements` elements.
    pub(crate) fn over(elements: usize) -> Self {
        const THREADS: u32 = 256;
        const MOST: usize = 4096;
        Grid { blocks: (elements.div_ceil(THREADS as usize).clamp(1, MOST), 1), threads: (THREADS, 1) }
    }
}

/// A length in the kernels' integer type.
pub(crate) fn count(length: usize) -> Result<Argument<'static>> {
    match u32::try_from(length) {
        Ok(length) => Ok(Argument::Count(length)),
        Err(_) => bail!("an operand of {length} numbers is too long for a kernel"),
    }
}

/// A kernel's device, name and number type.
type Name = (DeviceId, &'static str, &'static str);

thread_local! {
    /// Functions that this thread has looked up: the driver's lookup takes a lock that all threads share.
    static FUNCTIONS: RefCell<HashMap<Name, CudaFunction>> = RefCell::new(HashMap::new());
}

fn function<T: CudaReal>(device: &CudaDevice, module: &Module, kernel: &'static str) -> Result<CudaFunction> {
    FUNCTIONS.with_borrow_mut(|functions| {
        let name = (device.id(), kernel, T::SUFFIX);
        if let Some(function) = functions.get(&name) {
            return Ok(function.clone());
        }
        let full_name = format!("{kernel}_{}", T::SUFFIX);
        let function = device.get_or_load_custom_func(&full_name, module.name, module.ptx)?;
        Ok(functions.entry(name).or_insert(function.into_cuda_function()).clone())
    })
}

/// Enqueues a kernel's instance for T on the device's stream. A launch of no blocks does nothing.
pub(crate) fn launch<T: CudaReal>(
    device: &CudaDevice,
    module: &Module,
    kernel: &'static str,
    grid: Grid,
    arguments: &[Argument<'_>],
) -> Result<()> {
    if grid.blocks.0 == 0 || grid.blocks.1 == 0 {
        return Ok(());
    }
    let function = function::<T>(device, module, kernel)?;
    let stream = device.cuda_stream();
    let mut builder = stream.launch_builder(&function);
    for argument in arguments {
        match argument {
            Argument::Operand(operand) => operand.pointer.pass(&mut builder),
            Argument::Count(count) => count.pass(&mut builder),
            Argument::Number(number) => number.pass(&mut builder),
            Argument::Table(table) => Table::pass(*table, &mut builder),
        }
    }
    let (Ok(x), Ok(y)) = (u32::try_from(grid.blocks.0), u32::try_from(grid.blocks.1)) else {
        bail!("{kernel}: {:?} blocks are too many", grid.blocks);
    };
    let config = LaunchConfig {
        grid_dim: (x, y, 1),
        block_dim: (grid.threads.0, grid.threads.1, 1),
        shared_mem_bytes: 0,
    };
    // SAFETY: the calling operation has checked its operands' shapes and passes the arguments of the kernel's
    // signature; operands of one stream stay alive until the stream's work is done.
    unsafe { builder.launch(config) }.w()?;
    Ok(())
}

/// Sets an operand of numbers to 0.
pub(crate) fn clear<T: CudaReal>(device: &CudaDevice, operand: Operand) -> Result<()> {
    let stream = device.cuda_stream();
    stream.context().bind_to_thread().w()?;
    let bytes = operand.size * size_of::<T>();
    // SAFETY: the operand is that many bytes of the stream's device, and its storage is borrowed by the caller.
    unsafe {
        candle_core::cuda_backend::cudarc::driver::result::memset_d8_async(
            operand.pointer,
            0,
            bytes,
            stream.cu_stream(),
        )
    }
    .w()
}

/// Copies numbers on the device: both operands have the same size.
pub(crate) fn copy<T: CudaReal>(device: &CudaDevice, target: Operand, source: Operand) -> Result<()> {
    if target.size != source.size {
        bail!("{} numbers cannot be copied to {}", source.size, target.size);
    }
    let stream = device.cuda_stream();
    stream.context().bind_to_thread().w()?;
    let bytes = target.size * size_of::<T>();
    // SAFETY: both operands are that many bytes of the stream's device, and their storages are borrowed by the caller.
    unsafe {
        candle_core::cuda_backend::cudarc::driver::result::memcpy_dtod_async(
            target.pointer,
            source.pointer,
            bytes,
            stream.cu_stream(),
        )
    }
    .w()
}

/// A matrix on the device as stored: its number of rows, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix {
    pub(crate) operand: Operand,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) transposed: bool,
}

impl Matrix {
    /// Rows and columns in the product.
    pub(crate) fn shape(&self) -> (usize, usize) {
        if self.transposed { (self.columns, self.rows) } else { (self.rows, self.columns) }
    }
}

/// c = a b, or c += a b, row-major. The shapes match and are not empty.
///
/// cuBLAS is column-major, and so sees the transposes: c^T = b^T a^T.
pub(crate) fn multiply<T: CudaReal>(
    device: &CudaDevice,
    c: Operand,
    a: Matrix,
    b: Matrix,
    keep: bool,
) -> Result<()> {
    let ((m, k), (depth, n)) = (a.shape(), b.shape());
    if k != depth || c.size != m * n || a.operand.size != m * k || b.operand.size != k * n {
        bail!("a product of {m} x {k} and {depth} x {n} does not fit {} numbers", c.size);
    }
    let size = |value: usize| match i32::try_from(value) {
        Ok(value) => Ok(value),
        Err(_) => bail!("a matrix with {value} lines is too large for cuBLAS"),
    };
    let operation = |matrix: &Matrix| match matrix.transposed {
        true => blas_types::cublasOperation_t::CUBLAS_OP_T,
        false => blas_types::cublasOperation_t::CUBLAS_OP_N,
    };
    device.cuda_stream().context().bind_to_thread().w()?;
    let handle = device.cublas_handle();
    let call = Multiplication {
        handle: *handle.handle(),
        transposes: [operation(&b), operation(&a)],
        m: size(n)?,
        n: size(m)?,
        k: size(k)?,
        a: (b.operand.pointer, size(b.columns)?),
        b: (a.operand.pointer, size(a.columns)?),
        c: (c.pointer, size(n)?),
        keep,
    };
    // SAFETY: sizes were checked above; the handle's stream is the device's own, in which operands outlive their use.
    unsafe { T::multiply(&call) }.w()
}
