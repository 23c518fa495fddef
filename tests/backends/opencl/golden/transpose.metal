#include <metal_stdlib>
using namespace metal;
#pragma clang fp contract(off)

// a.T
[[max_total_threads_per_threadgroup(256)]]
kernel void transpose(
    device float *out [[buffer(0)]],  // float32[3500]
    device const float *a [[buffer(1)]],  // float32[3500]
    uint3 group_id [[threadgroup_position_in_grid]],
    uint3 group_count [[threadgroups_per_grid]],
    uint3 item_id [[thread_position_in_threadgroup]]
) {
    threadgroup float tile[272];
    const int gi = group_id.y;
    const int gj = group_id.x;
    {
        const int ty = item_id.y;
        const int tx = item_id.x;
        tile[ty * 17 + tx] = gi * 16 + ty < 50 && gj * 16 + tx < 70 ? a[gi * 1120 + ty * 70 + gj * 16 + tx] : 0.0f;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    const int ty = item_id.y;
    const int tx = item_id.x;
    if (gj * 16 + ty < 70 && gi * 16 + tx < 50) {
        out[gj * 800 + ty * 50 + gi * 16 + tx] = tile[tx * 17 + ty];
    }
}
