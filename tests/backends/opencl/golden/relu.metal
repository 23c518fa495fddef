#include <metal_stdlib>
using namespace metal;
#pragma clang fp contract(off)

// max(x, y)  ->  x if x > y or x is nan else y;   min(x, y) likewise, of floats
static inline float max_float(float x, float y) { return y < x || x != x ? x : y; }

// relu(a * 2 + b)
[[max_total_threads_per_threadgroup(256)]]
kernel void relu(
    device float *out [[buffer(0)]],  // float32[1000]
    device const float *a [[buffer(1)]],  // float32[1000]
    device const float *b [[buffer(2)]],  // float32[1000]
    uint3 group_id [[threadgroup_position_in_grid]],
    uint3 group_count [[threadgroups_per_grid]],
    uint3 item_id [[thread_position_in_threadgroup]]
) {
    const int g = group_id.x;
    const int t = item_id.x;
    if (g * 256 + t < 1000) {
        out[g * 256 + t] = max_float(a[g * 256 + t] * 2.0f + b[g * 256 + t], 0.0f);
    }
}
