// Biases, rectifiers, column sums, and other single passes over memory: elementwise.rs.
#include "common.cuh"

template <typename T>
__device__ void add_bias(T *values, const T *bias, uint size, uint width) {
    FOR_EACH(i, size) values[i] += bias[i % width];
}
#define P(T) (T * values, const T *bias, uint size, uint width)
EXPORT(add_bias, P, (values, bias, size, width))
#undef P

// What is not a number stays so.
template <typename T>
__device__ void add_bias_relu(T *values, const T *bias, uint size, uint width) {
    FOR_EACH(i, size) {
        T value = values[i] + bias[i % width];
        values[i] = T(0) > value ? T(0) : value;
    }
}
#define P(T) (T * values, const T *bias, uint size, uint width)
EXPORT(add_bias_relu, P, (values, bias, size, width))
#undef P

template <typename T>
__device__ void mask_relu(T *gradient, const T *output, uint size) {
    FOR_EACH(i, size) gradient[i] = output[i] > T(0) ? gradient[i] : T(0);
}
#define P(T) (T * gradient, const T *output, uint size)
EXPORT(mask_relu, P, (gradient, output, size))
#undef P

template <typename T>
__device__ void add(T *target, const T *source, uint size) {
    FOR_EACH(i, size) target[i] += source[i];
}
#define P(T) (T * target, const T *source, uint size)
EXPORT(add, P, (target, source, size))
#undef P

template <typename T>
__device__ void scale(T *values, double factor, uint size) {
    FOR_EACH(i, size) values[i] *= T(factor);
}
#define P(T) (T * values, double factor, uint size)
EXPORT(scale, P, (values, factor, size))
#undef P

// A block of 32 x 32 threads takes 32 columns; each of its lines takes every 32nd row.
template <typename T>
__device__ void accumulate_rows(T *sums, const T *values, uint rows, uint width) {
    __shared__ T parts[32][33];
    uint column = blockIdx.x * 32 + threadIdx.x;
    T sum = T(0);
    if (column < width) {
        for (uint row = threadIdx.y; row < rows; row += 32) sum += values[row * width + column];
    }
    parts[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && column < width) {
        T total = T(0);
        for (uint line = 0; line < 32; line++) total += parts[line][threadIdx.x];
        sums[column] += total;
    }
}
#define P(T) (T * sums, const T *values, uint rows, uint width)
EXPORT(accumulate_rows, P, (sums, values, rows, width))
#undef P

// The sum of squares in as many pieces as there are blocks.
template <typename T>
__device__ void square_pieces(const T *values, double *pieces, uint size) {
    double sum = 0.0;
    FOR_EACH(i, size) sum += double(values[i]) * double(values[i]);
    sum = block_sum(sum);
    if (threadIdx.x == 0) pieces[blockIdx.x] = sum;
}
#define P(T) (const T *values, double *pieces, uint size)
EXPORT(square_pieces, P, (values, pieces, size))
#undef P

// Scales by norm / (root of the sum of the pieces + 1e-6), where that is below 1.
template <typename T>
__device__ void clip(T *values, const double *pieces, uint count, double norm, uint size) {
    double sum = 0.0;
    for (uint piece = 0; piece < count; piece++) sum += pieces[piece];
    double factor = norm / (sqrt(sum) + 1e-6);
    if (factor < 1.0) {
        FOR_EACH(i, size) values[i] *= T(factor);
    }
}
#define P(T) (T * values, const double *pieces, uint count, double norm, uint size)
EXPORT(clip, P, (values, pieces, count, norm, size))
#undef P
