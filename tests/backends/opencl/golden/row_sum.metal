#include <metal_stdlib>
using namespace metal;
#pragma clang fp contract(off)

// sum over columns of a
[[max_total_threads_per_threadgroup(128)]]
kernel void row_sum(
    device float *out [[buffer(0)]],  // float32[12]
    device const float *a [[buffer(1)]],  // float32[12000]
    uint3 group_id [[threadgroup_position_in_grid]],
    uint3 group_count [[threadgroups_per_grid]],
    uint3 item_id [[thread_position_in_threadgroup]]
) {
    threadgroup float partial[128];
    const int item = item_id.x;
    const int row = group_id.x;
    {
        const int t = item_id.x;
        float acc;
        acc = 0.0f;
        for (int s = 0; s < 8; s++) {
            acc = acc + (s * 128 + t < 1000 ? a[row * 1000 + s * 128 + t] : 0.0f);
        }
        partial[t] = acc;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (item < 64) {
        const int t = item;
        partial[t] = partial[t] + partial[t + 64];
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (item < 32) {
        const int t = item;
        partial[t] = partial[t] + partial[t + 32];
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (item < 16) {
        const int t = item;
        partial[t] = partial[t] + partial[t + 16];
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (item < 8) {
        const int t = item;
        partial[t] = partial[t] + partial[t + 8];
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (item < 4) {
        const int t = item;
        partial[t] = partial[t] + partial[t + 4];
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (item < 2) {
        const int t = item;
        partial[t] = partial[t] + partial[t + 2];
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (item < 1) {
        const int t = item;
        partial[t] = partial[t] + partial[1];
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (item == 0) {
        out[row] = partial[0];
    }
}
