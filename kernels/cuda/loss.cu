// Losses per row, and their gradients: loss.rs. A thread takes a row.
#include "common.cuh"

template <typename T>
__device__ T log_sum(const T *row, uint classes) {
    T highest = row[0];
    for (uint i = 1; i < classes; i++) highest = larger(row[i], highest);
    T sum = T(0);
    for (uint i = 0; i < classes; i++) sum += exp(row[i] - highest);
    return highest + log(sum);
}

// Labels are whole numbers below `classes`: whoever uploads them has made sure of that.
template <typename T>
__device__ void cross_entropy(double *losses, const T *logits, const uint *labels, uint rows, uint classes) {
    FOR_EACH(row, rows) {
        const T *own = logits + size_t(row) * classes;
        losses[row] = double(log_sum(own, classes) - own[labels[row]]);
    }
}
#define P(T) (double *losses, const T *logits, const uint *labels, uint rows, uint classes)
EXPORT(cross_entropy, P, (losses, logits, labels, rows, classes))
#undef P

template <typename T>
__device__ void cross_entropy_gradient(T *gradient, const T *logits, const uint *labels, double weight, uint rows,
                                       uint classes) {
    FOR_EACH(row, rows) {
        const T *own = logits + size_t(row) * classes;
        T total = log_sum(own, classes);
        for (uint i = 0; i < classes; i++) {
            T hit = i == labels[row] ? T(1) : T(0);
            gradient[size_t(row) * classes + i] = T(weight) * (exp(own[i] - total) - hit);
        }
    }
}
#define P(T) (T * gradient, const T *logits, const uint *labels, double weight, uint rows, uint classes)
EXPORT(cross_entropy_gradient, P, (gradient, logits, labels, weight, rows, classes))
#undef P

template <typename T>
__device__ void squared_error(double *losses, const T *prediction, const T *target, uint rows, uint outputs) {
    FOR_EACH(row, rows) {
        double sum = 0.0;
        for (uint i = 0; i < outputs; i++) {
            double error = double(prediction[size_t(row) * outputs + i] - target[size_t(row) * outputs + i]);
            sum += error * error;
        }
        losses[row] = sum / outputs;
    }
}
#define P(T) (double *losses, const T *prediction, const T *target, uint rows, uint outputs)
EXPORT(squared_error, P, (losses, prediction, target, rows, outputs))
#undef P

template <typename T>
__device__ void squared_error_gradient(T *gradient, const T *prediction, const T *target, double factor, uint size) {
    FOR_EACH(i, size) gradient[i] = T(factor) * (prediction[i] - target[i]);
}
#define P(T) (T * gradient, const T *prediction, const T *target, double factor, uint size)
EXPORT(squared_error_gradient, P, (gradient, prediction, target, factor, size))
#undef P
