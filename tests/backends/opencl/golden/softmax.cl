// launch: global (384,), local (64,)
#pragma OPENCL FP_CONTRACT OFF

float max_float(float x, float y) { return x > y || x != x ? x : y; }  // nan where either is nan

ushort half_bits(float x) {  // to nearest even
    uchar2 bytes;
    vstore_half_rte(x, 0, (half *)&bytes);
    return as_ushort(bytes);
}

float half_value(ushort bits) {
    uchar2 bytes = as_uchar2(bits);
    return vload_half(0, (const half *)&bytes);
}

float round_half(float x) { return half_value(half_bits(x)); }

// softmax of a's rows
__kernel __attribute__((reqd_work_group_size(64, 1, 1)))
void softmax(
    __global half *restrict out,  // float16[1200]
    __global const half *restrict a  // float16[1200]
) {
    __local float shared[64];
    __local float result[1];
    const int row = get_group_id(0);
    const int t = get_local_id(0);
    float kept_0, kept_1, kept_2, kept_3;
    kept_0 = vload_half(row * 200 + t, a);
    kept_1 = vload_half(row * 200 + t + 64, a);
    kept_2 = vload_half(row * 200 + t + 128, a);
    kept_3 = t < 8 ? (t < 8 ? vload_half(row * 200 + t + 192, a) : 0) : -INFINITY;
    shared[t] = max_float(max_float(kept_0, kept_1), max_float(kept_2, kept_3));
    barrier(CLK_LOCAL_MEM_FENCE);
    if (t == 0) {
        result[0] = -INFINITY;
        for (int k = 0; k < 64; k++) {
            result[0] = max_float(result[0], shared[k]);
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    kept_0 = exp(kept_0 - result[0]);
    kept_1 = exp(kept_1 - result[0]);
    kept_2 = exp(kept_2 - result[0]);
    kept_3 = exp(kept_3 - result[0]);
    shared[t] = kept_0 + kept_1 + (kept_2 + kept_3);
    barrier(CLK_LOCAL_MEM_FENCE);
    if (t == 0) {
        result[0] = 0.0f;
        for (int k = 0; k < 64; k++) {
            result[0] = result[0] + shared[k];
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    vstore_half_rte(round_half(kept_0 / result[0]), row * 200 + t, out);
    vstore_half_rte(round_half(kept_1 / result[0]), row * 200 + t + 64, out);
    vstore_half_rte(round_half(kept_2 / result[0]), row * 200 + t + 128, out);
    if (t < 8) {
        vstore_half_rte(round_half(kept_3 / result[0]), row * 200 + t + 192, out);
    }
}
