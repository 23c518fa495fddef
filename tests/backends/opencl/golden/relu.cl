// launch: global (1024,), local (256,)
#pragma OPENCL FP_CONTRACT OFF

// max(x, y)  ->  x if x > y or x is nan else y;   min(x, y) likewise, of floats
float max_float(float x, float y) { return y < x || x != x ? x : y; }

// relu(a * 2 + b)
__kernel __attribute__((reqd_work_group_size(256, 1, 1)))
void relu(
    __global float *restrict out,  // float32[1000]
    __global const float *restrict a,  // float32[1000]
    __global const float *restrict b  // float32[1000]
) {
    const int g = get_group_id(0);
    const int t = get_local_id(0);
    if (g * 256 + t < 1000) {
        out[g * 256 + t] = max_float(a[g * 256 + t] * 2.0f + b[g * 256 + t], 0.0f);
    }
}
