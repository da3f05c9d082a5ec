// The rate of an encoder, (17), over groups of consecutive rows: rate.rs.
//
// z, mu and std are [rows, width]. Blocks in y take a group; those in x parts of it.
#include "common.cuh"

// Travels with the launch, so that nothing need be copied beforehand.
struct Groups {
    // Rows of group g: start[g] up to start[g + 1].
    uint start[129];
    // Where its square of shares begins.
    uint square[129];
    // What one nat of it costs; nothing is computed of a group whose weight is 0.
    double weight[128];
};

// The log density of z under a one-dimensional component, without its constant.
template <typename T>
__device__ T exponent(T z, T mu, T std) {
    T deviation = (z - mu) / std;
    return T(-0.5) * deviation * deviation - log(std);
}

// Of every row i and dimension: the log of the sum over j of the densities, and by how much the own one surpasses it.
template <typename T>
__device__ void rate_mix(T *mixture, double *surplus, const T *z, const T *mu, const T *std, const Groups &groups,
                         uint width) {
    uint start = groups.start[blockIdx.y], rows = groups.start[blockIdx.y + 1] - start;
    for (uint i = blockIdx.x * blockDim.x + threadIdx.x; i < rows * width; i += gridDim.x * blockDim.x) {
        uint place = start * width + i, column = i % width;
        T highest = exponent(z[place], mu[place], std[place]);
        T own = highest;
        for (uint j = 0; j < rows; j++) {
            uint other = (start + j) * width + column;
            highest = larger(exponent(z[place], mu[other], std[other]), highest);
        }
        T sum = T(0);
        for (uint j = 0; j < rows; j++) {
            uint other = (start + j) * width + column;
            sum += exp(exponent(z[place], mu[other], std[other]) - highest);
        }
        mixture[place] = highest + log(sum);
        surplus[place] = double(own - highest - log(sum));
    }
}
#define P(T)                                                                                        \
    (T * mixture, double *surplus, const T *z, const T *mu, const T *std,                           \
     const __grid_constant__ Groups groups, uint width)
EXPORT(rate_mix, P, (mixture, surplus, z, mu, std, groups, width))
#undef P

// rates[g] = the mean over the group's rows of their `width` surpluses' sums + width ln(rows), a block a group.
template <typename T>
__device__ void rate_sum(double *rates, const T *surplus, const Groups &groups, uint width) {
    uint start = groups.start[blockIdx.x], rows = groups.start[blockIdx.x + 1] - start;
    double sum = 0.0;
    for (uint i = threadIdx.x; i < rows * width; i += blockDim.x) sum += surplus[size_t(start) * width + i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) rates[blockIdx.x] = sum / rows + width * log(double(rows));
}
extern "C" __global__ void rate_sum_f64(double *rates, const double *surplus, const __grid_constant__ Groups groups,
                                        uint width) {
    rate_sum<double>(rates, surplus, groups, width);
}

// What every row adds: the sum of its `width` surpluses + width ln(rows of its group).
template <typename T>
__device__ void rate_rows(double *values, const T *surplus, const Groups &groups, uint width) {
    uint start = groups.start[blockIdx.y], rows = groups.start[blockIdx.y + 1] - start;
    for (uint i = blockIdx.x * blockDim.x + threadIdx.x; i < rows; i += gridDim.x * blockDim.x) {
        double sum = width * log(double(rows));
        for (uint column = 0; column < width; column++) sum += surplus[size_t(start + i) * width + column];
        values[start + i] = sum;
    }
}
extern "C" __global__ void rate_rows_f64(double *values, const double *surplus, const __grid_constant__ Groups groups,
                                         uint width) {
    rate_rows<double>(values, surplus, groups, width);
}

// Weight times the gradient: through z_r, and through component r of every row's mixture. packed is [3, size]. `paid` says
// which rows count, if not all do.
template <typename T>
__device__ void rate_gradient(T *packed, const T *mixture, const T *z, const T *mu, const T *std, const Groups &groups,
                              uint width, uint size, const uint *paid) {
    uint start = groups.start[blockIdx.y], rows = groups.start[blockIdx.y + 1] - start;
    T weight = T(groups.weight[blockIdx.y]), scale = weight / T(rows);
    for (uint i = blockIdx.x * blockDim.x + threadIdx.x; i < rows * width; i += gridDim.x * blockDim.x) {
        uint place = start * width + i, column = i % width;
        T to_z = T(0), to_mu = T(0), to_std = T(0);
        if (weight != T(0)) {
            T inverse = T(1) / std[place];
            bool is_paid = !paid || paid[start + i / width];
            for (uint j = 0; j < rows; j++) {
                uint other = (start + j) * width + column;
                if (is_paid) {
                    T share = exp(exponent(z[place], mu[other], std[other]) - mixture[place]);
                    to_z += share * (z[place] - mu[other]) / (std[other] * std[other]);
                }
                if (paid && !paid[start + j]) continue;
                T deviation = (z[other] - mu[place]) * inverse;
                T pulled = exp(exponent(z[other], mu[place], std[place]) - mixture[other]) * inverse;
                to_mu -= pulled * deviation;
                to_std -= pulled * (deviation * deviation - T(1));
            }
            if (is_paid) {
                T deviation = (z[place] - mu[place]) * inverse;
                to_z -= deviation * inverse;
                to_mu += deviation * inverse;
                to_std += (deviation * deviation - T(1)) * inverse;
            }
        }
        packed[place] = to_z * scale;
        packed[size + place] = to_mu * scale;
        packed[2 * size + place] = to_std * scale;
    }
}
#define P(T)                                                                                  \
    (T * packed, const T *mixture, const T *z, const T *mu, const T *std,                     \
     const __grid_constant__ Groups groups, uint width, uint size, const uint *paid)
EXPORT(rate_gradient, P, (packed, mixture, z, mu, std, groups, width, size, paid))
#undef P

// The log density of a row's z under a component, all dimensions together.
template <typename T>
__device__ T joint_exponent(const T *z, const T *mu, const T *std, uint width) {
    T squares = T(0), logs = T(0);
    for (uint column = 0; column < width; column++) {
        T deviation = (z[column] - mu[column]) / std[column];
        squares += deviation * deviation;
        logs += log(std[column]);
    }
    return T(-0.5) * squares - logs;
}

// By how much every row's own density surpasses the sum of all: a thread a row, however large the group.
template <typename T>
__device__ void joint_mix(double *surplus, const T *z, const T *mu, const T *std, const Groups &groups, uint width) {
    uint start = groups.start[blockIdx.y], rows = groups.start[blockIdx.y + 1] - start;
    for (uint i = blockIdx.x * blockDim.x + threadIdx.x; i < rows; i += gridDim.x * blockDim.x) {
        const T *own_z = z + size_t(start + i) * width;
        size_t own = size_t(start + i) * width;
        T own_exponent = joint_exponent(own_z, mu + own, std + own, width);
        // sum e^(exponent - highest), kept so while the highest rises.
        double highest = own_exponent, sum = 0.0;
        for (uint j = 0; j < rows; j++) {
            size_t other = size_t(start + j) * width;
            double value = joint_exponent(own_z, mu + other, std + other, width);
            if (value > highest) {
                sum *= exp(highest - value);
                highest = value;
            }
            sum += exp(value - highest);
        }
        surplus[start + i] = own_exponent - (highest + log(sum));
    }
}
#define P(T)                                                                                  \
    (double *surplus, const T *z, const T *mu, const T *std, const __grid_constant__ Groups groups, uint width)
EXPORT(joint_mix, P, (surplus, z, mu, std, groups, width))
#undef P

// The square of a group: how much of row i's surplus its component j takes, (own - share) weight / rows.
template <typename T>
__device__ void joint_shares(T *squares, const T *z, const T *mu, const T *std, const Groups &groups, uint width,
                             const uint *paid) {
    uint start = groups.start[blockIdx.y], rows = groups.start[blockIdx.y + 1] - start;
    T weight = T(groups.weight[blockIdx.y]);
    for (uint i = blockIdx.x * blockDim.x + threadIdx.x; i < rows; i += gridDim.x * blockDim.x) {
        T *shares = squares + groups.square[blockIdx.y] + size_t(i) * rows;
        const T *own_z = z + size_t(start + i) * width;
        T highest = -INFINITY;
        for (uint j = 0; j < rows; j++) {
            size_t other = size_t(start + j) * width;
            shares[j] = joint_exponent(own_z, mu + other, std + other, width);
            highest = larger(shares[j], highest);
        }
        T sum = T(0);
        for (uint j = 0; j < rows; j++) {
            shares[j] = exp(shares[j] - highest);
            sum += shares[j];
        }
        T scale = !paid || paid[start + i] ? weight / T(rows) : T(0);
        for (uint j = 0; j < rows; j++) {
            T own = i == j ? T(1) : T(0);
            shares[j] = (own - shares[j] / sum) * scale;
        }
    }
}
#define P(T)                                                                                                \
    (T * squares, const T *z, const T *mu, const T *std, const __grid_constant__ Groups groups, uint width, \
     const uint *paid)
EXPORT(joint_shares, P, (squares, z, mu, std, groups, width, paid))
#undef P

// Weight times the gradient of the joint rate: packed is [3, size].
template <typename T>
__device__ void joint_gradient(T *packed, const T *squares, const T *z, const T *mu, const T *std, const Groups &groups,
                               uint width, uint size) {
    uint start = groups.start[blockIdx.y], rows = groups.start[blockIdx.y + 1] - start;
    T weight = T(groups.weight[blockIdx.y]);
    const T *shares = squares + groups.square[blockIdx.y];
    for (uint i = blockIdx.x * blockDim.x + threadIdx.x; i < rows * width; i += gridDim.x * blockDim.x) {
        uint row = i / width, column = i % width, place = start * width + i;
        T to_z = T(0), to_mu = T(0), to_std = T(0);
        if (weight != T(0)) {
            T inverse = T(1) / std[place];
            for (uint j = 0; j < rows; j++) {
                uint other = (start + j) * width + column;
                T deviation = (z[place] - mu[other]) / std[other];
                to_z -= shares[size_t(row) * rows + j] * deviation / std[other];
                deviation = (z[other] - mu[place]) * inverse;
                T share = shares[size_t(j) * rows + row];
                to_mu += share * deviation * inverse;
                to_std += share * (deviation * deviation - T(1)) * inverse;
            }
        }
        packed[place] = to_z;
        packed[size + place] = to_mu;
        packed[2 * size + place] = to_std;
    }
}
#define P(T)                                                                                  \
    (T * packed, const T *squares, const T *z, const T *mu, const T *std,                     \
     const __grid_constant__ Groups groups, uint width, uint size)
EXPORT(joint_gradient, P, (packed, squares, z, mu, std, groups, width, size))
#undef P
