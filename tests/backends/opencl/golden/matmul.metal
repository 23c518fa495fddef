#include <metal_stdlib>
using namespace metal;
#pragma clang fp contract(off)

// out[i, j] = sum over k of a[i, k] * b[k, j]
[[max_total_threads_per_threadgroup(64)]]
kernel void matmul(
    device float *out [[buffer(0)]],  // float32[8192]
    device const float *a [[buffer(1)]],  // float32[4096]
    device const float *b [[buffer(2)]],  // float32[2048]
    uint3 group_id [[threadgroup_position_in_grid]],
    uint3 group_count [[threadgroups_per_grid]],
    uint3 item_id [[thread_position_in_threadgroup]]
) {
    threadgroup float tile_a[256];
    threadgroup float tile_b[256] __attribute__((aligned(64)));
    const int item = item_id.y * 8 + item_id.x;
    const int gi = group_id.y;
    const int gj = group_id.x;
    float4 acc_0, acc_1, acc_2, acc_3;
    {
        const int ty = item_id.y;
        const int tx = item_id.x;
        acc_0 = float4(0.0f);
        acc_1 = float4(0.0f);
        acc_2 = float4(0.0f);
        acc_3 = float4(0.0f);
    }
    for (int ko = 0; ko < 4; ko++) {
        for (int e = item; e < 256; e += 64) {
            tile_a[(e & 7) * 32 + (e >> 3)] = a[gi * 1024 + (e >> 3) * 32 + ko * 8 + (e & 7)];
        }
        for (int n = item; n < 256; n += 64) {
            const int row = n / 32;
            const int column = n % 32;
            tile_b[row * 32 + column] = b[ko * 512 + row * 64 + gj * 32 + column];
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
        {
            const int ty = item_id.y;
            const int tx = item_id.x;
            for (int ki = 0; ki < 8; ki++) {
                const float a0 = tile_a[ki * 32 + ty * 4];
                const float a1 = tile_a[ki * 32 + ty * 4 + 1];
                const float a2 = tile_a[ki * 32 + ty * 4 + 2];
                const float a3 = tile_a[ki * 32 + ty * 4 + 3];
                const float4 b0 = *(threadgroup const float4 *)(tile_b + ki * 32 + tx * 4);
                acc_0 = fma(float4(a0), b0, acc_0);
                acc_1 = fma(float4(a1), b0, acc_1);
                acc_2 = fma(float4(a2), b0, acc_2);
                acc_3 = fma(float4(a3), b0, acc_3);
            }
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    const int ty = item_id.y;
    const int tx = item_id.x;
    *(device float4 *)(out + gi * 2048 + ty * 256 + gj * 32 + tx * 4) = acc_0;
    *(device float4 *)(out + gi * 2048 + ty * 256 + gj * 32 + tx * 4 + 64) = acc_1;
    *(device float4 *)(out + gi * 2048 + ty * 256 + gj * 32 + tx * 4 + 128) = acc_2;
    *(device float4 *)(out + gi * 2048 + ty * 256 + gj * 32 + tx * 4 + 192) = acc_3;
}
