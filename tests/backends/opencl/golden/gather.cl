// launch: global (320,), local (64,)
#pragma OPENCL FP_CONTRACT OFF

// table[indices]
__kernel __attribute__((reqd_work_group_size(64, 1, 1)))
void gather(
    __global float *restrict out,  // float32[300]
    __global const float *restrict table,  // float32[200]
    __global const long *restrict indices  // int64[30]
) {
    const int g = get_group_id(0);
    const int t = get_local_id(0);
    if (g * 64 + t < 300) {
        const long row = indices[(g * 64 + t) / 10];
        out[g * 64 + t] = 0 <= row && row < 20 ? table[row * 10 + (g * 64 + t) % 10] : 0.0f;
    }
}
