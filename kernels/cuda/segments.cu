// Rows that stand in several places: segments.rs.
#include "common.cuh"

struct Segment {
    uint source, target, rows, repeat;
};

// Travels with the launch, so that nothing need be copied beforehand.
struct Segments {
    uint count;
    Segment all[200];
};

// targets += sources. Blocks in x take a segment, in y a part of its values: no two segments share a target. Rows of the
// targets are `stride` apart.
template <typename T>
__device__ void spread(T *targets, const T *sources, const Segments &segments, uint width, uint stride) {
    const Segment segment = segments.all[blockIdx.x];
    for (uint i = blockIdx.y * blockDim.x + threadIdx.x; i < segment.rows * width; i += gridDim.y * blockDim.x) {
        uint row = i / width, column = i % width;
        uint source = segment.source + (segment.repeat ? 0 : row);
        targets[size_t(segment.target + row) * stride + column] += sources[size_t(source) * width + column];
    }
}
#define P(T) (T * targets, const T *sources, const __grid_constant__ Segments segments, uint width, uint stride)
EXPORT(spread, P, (targets, sources, segments, width, stride))
#undef P

// sources += targets, in the order of segments and rows. Blocks in x take a source row, in y some of its columns.
template <typename T>
__device__ void collect(T *sources, const T *targets, const Segments &segments, uint width, uint stride) {
    uint source = blockIdx.x, column = blockIdx.y * blockDim.x + threadIdx.x;
    if (column >= width) return;
    T sum = sources[size_t(source) * width + column];
    for (uint s = 0; s < segments.count; s++) {
        const Segment segment = segments.all[s];
        if (segment.repeat) {
            if (segment.source != source) continue;
            for (uint row = 0; row < segment.rows; row++) {
                sum += targets[size_t(segment.target + row) * stride + column];
            }
        } else if (source >= segment.source && source - segment.source < segment.rows) {
            sum += targets[size_t(segment.target + source - segment.source) * stride + column];
        }
    }
    sources[size_t(source) * width + column] = sum;
}
#define P(T) (T * sources, const T *targets, const __grid_constant__ Segments segments, uint width, uint stride)
EXPORT(collect, P, (sources, targets, segments, width, stride))
#undef P
