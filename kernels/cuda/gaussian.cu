// The encoders' heads, stochastic and quantising: gaussian.rs, quantise.rs.
#include "common.cuh"

// output [rows, 2 width] holds mu and raw side by side; packed [3, rows, width] takes z, mu and std.
template <typename T>
__device__ void gaussian_sample(T *packed, const T *output, const T *noise, uint rows, uint width, double shift) {
    uint size = rows * width;
    FOR_EACH(i, size) {
        uint place = (i / width) * 2 * width + i % width;
        T mu = output[place];
        T x = output[place + width] - T(shift);
        T std = larger(x, T(0)) + log1p(exp(-larger(x, -x)));
        packed[i] = mu + std * noise[i];
        packed[size + i] = mu;
        packed[2 * size + i] = std;
    }
}
#define P(T) (T * packed, const T *output, const T *noise, uint rows, uint width, double shift)
EXPORT(gaussian_sample, P, (packed, output, noise, rows, width, shift))
#undef P

// gradient [3, rows, width] of z, mu and std to that of the output.
template <typename T>
__device__ void gaussian_backward(T *result, const T *gradient, const T *output, const T *noise, uint rows, uint width,
                                  double shift) {
    uint size = rows * width;
    FOR_EACH(i, size) {
        uint place = (i / width) * 2 * width + i % width;
        T z = gradient[i];
        result[place] = gradient[size + i] + z;
        T raw = output[place + width];
        result[place + width] = (gradient[2 * size + i] + z * noise[i]) * sigmoid(raw - T(shift));
    }
}
#define P(T) \
    (T * result, const T *gradient, const T *output, const T *noise, uint rows, uint width, double shift)
EXPORT(gaussian_backward, P, (result, gradient, output, noise, rows, width, shift))
#undef P

template <typename T>
__device__ void quantise(T *z, const T *output, double top, uint size) {
    FOR_EACH(i, size) z[i] = round(sigmoid(output[i]) * T(top)) / T(top);
}
#define P(T) (T * z, const T *output, double top, uint size)
EXPORT(quantise, P, (z, output, top, size))
#undef P

template <typename T>
__device__ void quantise_backward(T *result, const T *gradient, const T *output, uint size) {
    FOR_EACH(i, size) {
        T slope = sigmoid(output[i]);
        result[i] = gradient[i] * (slope * (T(1) - slope));
    }
}
#define P(T) (T * result, const T *gradient, const T *output, uint size)
EXPORT(quantise_backward, P, (result, gradient, output, size))
#undef P
