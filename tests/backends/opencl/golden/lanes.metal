#include <metal_stdlib>
using namespace metal;
#pragma clang fp contract(off)

// max(x, y)  ->  x if x > y or x is nan else y;   min(x, y) likewise, of floats
static inline float4 max_float4(float4 x, float4 y) { return select(y, x, y < x || x != x); }

// max(x, y)  ->  x if x > y or x is nan else y;   min(x, y) likewise, of floats
static inline float2 max_float2(float2 x, float2 y) { return select(y, x, y < x || x != x); }

// max(x, y)  ->  x if x > y or x is nan else y;   min(x, y) likewise, of floats
static inline float max_float(float x, float y) { return y < x || x != x ? x : y; }

[[max_total_threads_per_threadgroup(10)]]
kernel void lanes(
    device float *out [[buffer(0)]],  // float32[70]
    device float *total [[buffer(1)]],  // float32[10]
    device const float *a [[buffer(2)]],  // float32[171]
    uint3 group_id [[threadgroup_position_in_grid]],
    uint3 group_count [[threadgroups_per_grid]],
    uint3 item_id [[thread_position_in_threadgroup]]
) {
    const int t = item_id.x;
    const float4 tmp0 = max_float4(float4(*(device const packed_float4 *)(a + t * 7 + 1)), float4(a[t * 17], a[t * 17 + 2], a[t * 17 + 4], a[t * 17 + 6]));
    const float4 v_0 = tmp0 + float4(a[t * 7 + 6], a[t * 7 + 5], a[t * 7 + 4], a[t * 7 + 3]) * 0.5f;
    const float2 tmp1 = max_float2(float2(*(device const packed_float2 *)(a + t * 7 + 5)), float2(a[t * 17 + 8], a[t * 17 + 10]));
    const float2 v_1 = tmp1 + float2(a[t * 7 + 2], a[t * 7 + 1]) * 0.5f;
    const float v_2 = max_float(a[t * 7 + 7], a[t * 17 + 12]) + a[t * 7] * 0.5f;
    *(device packed_float4 *)(out + t * 7) = packed_float4(v_0);
    *(device packed_float2 *)(out + t * 7 + 4) = packed_float2(v_1);
    out[t * 7 + 6] = v_2;
    total[t] = v_0.x + v_0.w + (v_0.y + v_1.x) + v_2 + (v_0.z + v_1.y);
}
