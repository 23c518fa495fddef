#include <metal_stdlib>
using namespace metal;
#pragma clang fp contract(off)

// table[indices]
[[max_total_threads_per_threadgroup(64)]]
kernel void gather(
    device float *out [[buffer(0)]],  // float32[300]
    device const float *table [[buffer(1)]],  // float32[200]
    device const long *indices [[buffer(2)]],  // int64[30]
    uint3 group_id [[threadgroup_position_in_grid]],
    uint3 group_count [[threadgroups_per_grid]],
    uint3 item_id [[thread_position_in_threadgroup]]
) {
    const int g = group_id.x;
    const int t = item_id.x;
    if (g * 64 + t < 300) {
        const long row = indices[(g * 64 + t) / 10];
        out[g * 64 + t] = 0 <= row && row < 20 ? table[row * 10 + (g * 64 + t) % 10] : 0.0f;
    }
}
