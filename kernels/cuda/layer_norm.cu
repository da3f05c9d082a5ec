// Layer normalisation as it follows a rectifier: layer_norm.rs. A block of threads takes a row.
#include "common.cuh"

template <typename T>
struct Statistics {
    T mean;
    // 1 / sqrt(variance + epsilon).
    T inverse;
};

// Of one row, by all threads of a block.
template <typename T>
__device__ Statistics<T> statistics(const T *row, uint width, double epsilon) {
    T sum = T(0);
    for (uint i = threadIdx.x; i < width; i += blockDim.x) sum += row[i];
    T mean = block_sum(sum) / T(width);
    T squares = T(0);
    for (uint i = threadIdx.x; i < width; i += blockDim.x) squares += (row[i] - mean) * (row[i] - mean);
    T variance = block_sum(squares) / T(width);
    return {mean, T(1) / sqrt(variance + T(epsilon))};
}

// affine is [2, width]: gain and bias.
template <typename T>
__device__ void layer_norm(T *output, const T *input, const T *affine, uint width, double epsilon) {
    const T *row = input + size_t(blockIdx.x) * width;
    Statistics<T> of_row = statistics(row, width, epsilon);
    for (uint i = threadIdx.x; i < width; i += blockDim.x) {
        output[size_t(blockIdx.x) * width + i] =
            (row[i] - of_row.mean) * of_row.inverse * affine[i] + affine[width + i];
    }
}
#define P(T) (T * output, const T *input, const T *affine, uint width, double epsilon)
EXPORT(layer_norm, P, (output, input, affine, width, epsilon))
#undef P

// Replaces the gradient with respect to the output by that with respect to the rectifier's input, and notes the row's
// mean and inverse deviation, [rows, 2]. With g = upstream * gain and n the normalised row:
// (g - mean(g) - n mean(g n)) / std, masked.
template <typename T>
__device__ void layer_norm_backward(T *gradient, const T *input, const T *affine, uint width, double epsilon) {
    const T *row = input + size_t(blockIdx.x) * width;
    T *upstream = gradient + size_t(blockIdx.x) * width;
    Statistics<T> of_row = statistics(row, width, epsilon);
    T plain = T(0), projected = T(0);
    for (uint i = threadIdx.x; i < width; i += blockDim.x) {
        T scaled = upstream[i] * affine[i];
        plain += scaled;
        projected += scaled * ((row[i] - of_row.mean) * of_row.inverse);
    }
    plain = block_sum(plain) / T(width);
    projected = block_sum(projected) / T(width);
    for (uint i = threadIdx.x; i < width; i += blockDim.x) {
        T normal = (row[i] - of_row.mean) * of_row.inverse;
        T value = (upstream[i] * affine[i] - plain - normal * projected) * of_row.inverse;
        upstream[i] = row[i] > T(0) ? value : T(0);
    }
}
#define P(T) (T * gradient, const T *input, const T *affine, uint width, double epsilon)
EXPORT(layer_norm_backward, P, (gradient, input, affine, width, epsilon))
#undef P

// Mean and inverse deviation of every row: notes is [rows, 2].
template <typename T>
__device__ void row_statistics(T *notes, const T *input, uint width, double epsilon) {
    Statistics<T> of_row = statistics(input + size_t(blockIdx.x) * width, width, epsilon);
    if (threadIdx.x == 0) {
        notes[2 * blockIdx.x] = of_row.mean;
        notes[2 * blockIdx.x + 1] = of_row.inverse;
    }
}
#define P(T) (T * notes, const T *input, uint width, double epsilon)
EXPORT(row_statistics, P, (notes, input, width, epsilon))
#undef P

// sums [2, width] += the gradient of gain and bias. A block of 32 x 32 threads takes 32 columns; each of its lines takes
// every 32nd row.
template <typename T>
__device__ void affine_gradient(T *sums, const T *notes, const T *input, const T *upstream, uint rows, uint width) {
    __shared__ T gains[32][33], biases[32][33];
    uint column = blockIdx.x * 32 + threadIdx.x;
    T gain = T(0), bias = T(0);
    if (column < width) {
        for (uint row = threadIdx.y; row < rows; row += 32) {
            T up = upstream[row * width + column];
            gain += up * ((input[row * width + column] - notes[2 * row]) * notes[2 * row + 1]);
            bias += up;
        }
    }
    gains[threadIdx.y][threadIdx.x] = gain;
    biases[threadIdx.y][threadIdx.x] = bias;
    __syncthreads();
    if (threadIdx.y < 2 && column < width) {
        T total = T(0);
        for (uint line = 0; line < 32; line++) {
            total += threadIdx.y == 0 ? gains[line][threadIdx.x] : biases[line][threadIdx.x];
        }
        sums[threadIdx.y * width + column] += total;
    }
}
#define P(T) (T * sums, const T *notes, const T *input, const T *upstream, uint rows, uint width)
EXPORT(affine_gradient, P, (sums, notes, input, upstream, rows, width))
#undef P
