#include <metal_stdlib>
using namespace metal;
#pragma clang fp contract(off)

static inline float float32_of_float16(ushort bits) {
    return float(as_type<half>(bits));
}

// max(x, y)  ->  x if x > y or x is nan else y;   min(x, y) likewise, of floats
static inline float max_float(float x, float y) { return y < x || x != x ? x : y; }

static inline ushort float16_of_float32(float x) {  // to nearest even
    return as_type<ushort>(half(x));
}

// softmax of a's rows
[[max_total_threads_per_threadgroup(64)]]
kernel void softmax(
    device ushort *out [[buffer(0)]],  // float16[1200]
    device const ushort *a [[buffer(1)]],  // float16[1200]
    uint3 group_id [[threadgroup_position_in_grid]],
    uint3 group_count [[threadgroups_per_grid]],
    uint3 item_id [[thread_position_in_threadgroup]]
) {
    threadgroup float shared[64];
    threadgroup float result[1];
    const int row = group_id.x;
    const int t = item_id.x;
    float kept_0, kept_1, kept_2, kept_3;
    kept_0 = float32_of_float16(a[row * 200 + t]);
    kept_1 = float32_of_float16(a[row * 200 + t + 64]);
    kept_2 = float32_of_float16(a[row * 200 + t + 128]);
    kept_3 = t < 8 ? float32_of_float16(t < 8 ? a[row * 200 + t + 192] : 0x0000) : -INFINITY;
    shared[t] = max_float(max_float(kept_0, kept_1), max_float(kept_2, kept_3));
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (t == 0) {
        result[0] = -INFINITY;
        for (int k = 0; k < 64; k++) {
            result[0] = max_float(result[0], shared[k]);
        }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    kept_0 = precise::exp(kept_0 - result[0]);
    kept_1 = precise::exp(kept_1 - result[0]);
    kept_2 = precise::exp(kept_2 - result[0]);
    kept_3 = precise::exp(kept_3 - result[0]);
    shared[t] = kept_0 + kept_1 + (kept_2 + kept_3);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (t == 0) {
        result[0] = 0.0f;
        for (int k = 0; k < 64; k++) {
            result[0] = result[0] + shared[k];
        }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[row * 200 + t] = float16_of_float32(kept_0 / result[0]);
    out[row * 200 + t + 64] = float16_of_float32(kept_1 / result[0]);
    out[row * 200 + t + 128] = float16_of_float32(kept_2 / result[0]);
    if (t < 8) {
        out[row * 200 + t + 192] = float16_of_float32(kept_3 / result[0]);
    }
}
