// launch: global (384,), local (64,)
#pragma OPENCL FP_CONTRACT OFF

float float32_of_float16(ushort bits) {
    uchar2 bytes = as_uchar2(bits);
    return vload_half(0, (const half *)&bytes);
}

// max(x, y)  ->  x if x > y or x is nan else y;   min(x, y) likewise, of floats
float max_float(float x, float y) { return y < x || x != x ? x : y; }

ushort float16_of_float32(float x) {  // to nearest even
    uchar2 bytes;
    vstore_half_rte(x, 0, (half *)&bytes);
    return as_ushort(bytes);
}

// softmax of a's rows
__kernel __attribute__((reqd_work_group_size(64, 1, 1)))
void softmax(
    __global ushort *restrict out,  // float16[1200]
    __global const ushort *restrict a  // float16[1200]
) {
    __local float shared[64];
    __local float result[1];
    const int row = get_group_id(0);
    const int t = get_local_id(0);
    float kept_0, kept_1, kept_2, kept_3;
    kept_0 = float32_of_float16(a[row * 200 + t]);
    kept_1 = float32_of_float16(a[row * 200 + t + 64]);
    kept_2 = float32_of_float16(a[row * 200 + t + 128]);
    kept_3 = t < 8 ? float32_of_float16(t < 8 ? a[row * 200 + t + 192] : 0x0000) : -INFINITY;
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
    out[row * 200 + t] = float16_of_float32(kept_0 / result[0]);
    out[row * 200 + t + 64] = float16_of_float32(kept_1 / result[0]);
    out[row * 200 + t + 128] = float16_of_float32(kept_2 / result[0]);
    if (t < 8) {
        out[row * 200 + t + 192] = float16_of_float32(kept_3 / result[0]);
    }
}
