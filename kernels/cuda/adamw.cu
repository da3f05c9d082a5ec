// One step of AdamW in a single pass over memory: adamw.rs.
#include "common.cuh"

// The state is [4, size]: value, gradient, first and second moment.
template <typename T>
__device__ void adamw(T *state, uint size, double keep, double beta1, double beta2, double rate, double second_scale,
                      double epsilon) {
    T new1 = T(1.0 - beta1), new2 = T(1.0 - beta2);
    FOR_EACH(i, size) {
        T gradient = state[size + i];
        T first = state[2 * size + i];
        T second = state[3 * size + i];
        first += new1 * (gradient - first);
        second = second * T(beta2) + new2 * gradient * gradient;
        T scale = sqrt(second) * T(second_scale) + T(epsilon);
        state[i] = state[i] * T(keep) - T(rate) * (first / scale);
        state[2 * size + i] = first;
        state[3 * size + i] = second;
    }
}
#define P(T)                                                                                                        \
    (T * state, uint size, double keep, double beta1, double beta2, double rate, double second_scale, double epsilon)
EXPORT(adamw, P, (state, size, keep, beta1, beta2, rate, second_scale, epsilon))
#undef P
