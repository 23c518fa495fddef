// launch: global (1536,), local (128,)
#pragma OPENCL FP_CONTRACT OFF

// sum over columns of a
__kernel __attribute__((reqd_work_group_size(128, 1, 1)))
void row_sum(
    __global float *restrict out,  // float32[12]
    __global const float *restrict a  // float32[12000]
) {
    __local float partial[128];
    const int item = get_local_id(0);
    const int row = get_group_id(0);
    {
        const int t = get_local_id(0);
        float acc;
        acc = 0.0f;
        for (int s = 0; s < 8; s++) {
            acc = acc + (s * 128 + t < 1000 ? a[row * 1000 + s * 128 + t] : 0.0f);
        }
        partial[t] = acc;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item < 64) {
        const int t = item;
        partial[t] = partial[t] + partial[t + 64];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item < 32) {
        const int t = item;
        partial[t] = partial[t] + partial[t + 32];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item < 16) {
        const int t = item;
        partial[t] = partial[t] + partial[t + 16];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item < 8) {
        const int t = item;
        partial[t] = partial[t] + partial[t + 8];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item < 4) {
        const int t = item;
        partial[t] = partial[t] + partial[t + 4];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item < 2) {
        const int t = item;
        partial[t] = partial[t] + partial[t + 2];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item < 1) {
        const int t = item;
        partial[t] = partial[t] + partial[1];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item == 0) {
        out[row] = partial[0];
    }
}
