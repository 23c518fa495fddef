#include <metal_stdlib>
using namespace metal;
#pragma clang fp contract(off)

[[max_total_threads_per_threadgroup(256)]]
kernel void deep(
    device float *out [[buffer(0)]],  // float32[36288]
    device const float *a [[buffer(1)]],  // float32[36288]
    uint3 group_id [[threadgroup_position_in_grid]],
    uint3 group_count [[threadgroups_per_grid]],
    uint3 item_id [[thread_position_in_threadgroup]]
) {
    const int item = item_id.x;
    const int group = group_id.z;
    const int g0 = group / 6;
    const int g1 = group / 2 % 3;
    const int g2 = group % 2;
    const int g3 = group_id.y;
    const int g4 = group_id.x;
    for (int n = item; n < 504; n += 256) {
        const int t0 = n / 72;
        const int t1 = n / 9 % 8;
        const int t2 = n % 9;
        const int tmp0 = g0 * 18144 + g1 * 6048 + g2 * 3024 + g3 * 1512 + g4 * 504 + t0 * 72 + t1 * 9;
        out[tmp0 + t2] = a[tmp0 + t2] + (float)t1;
    }
}
