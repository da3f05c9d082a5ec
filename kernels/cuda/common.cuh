// What all kernels share. Every kernel is a template over the number type, float or double, with one exported instance
// of each: NAME_f32 and NAME_f64. Sums run in a fixed order, without atomics: the same launch gives the same bits.
#pragma once

typedef unsigned int uint;

// A kernel's two instances. PARAMETERS may use T, ARGUMENTS passes them on.
#define EXPORT(NAME, PARAMETERS, ARGUMENTS)                     \
    extern "C" __global__ void NAME##_f32 PARAMETERS(float) {   \
        NAME<float> ARGUMENTS;                                  \
    }                                                           \
    extern "C" __global__ void NAME##_f64 PARAMETERS(double) {  \
        NAME<double> ARGUMENTS;                                 \
    }

// All i below n, by all threads of the grid.
#define FOR_EACH(i, n) \
    for (uint i = blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += gridDim.x * blockDim.x)

template <typename T>
__device__ T larger(T a, T b) {
    return a > b ? a : b;
}

template <typename T>
__device__ T sigmoid(T x) {
    T decay = exp(-larger(x, -x));
    return (x < T(0) ? decay : T(1)) / (T(1) + decay);
}

// The sum over all threads of a block of up to 1024, whole warps, known to all of them.
template <typename T>
__device__ T block_sum(T value) {
    __shared__ T parts[32];
    for (int distance = 16; distance > 0; distance /= 2) {
        value += __shfl_xor_sync(0xffffffff, value, distance);
    }
    uint warps = blockDim.x / 32;
    __syncthreads();
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
    __syncthreads();
    T sum = T(0);
    for (uint warp = 0; warp < warps; warp++) sum += parts[warp];
    return sum;
}
