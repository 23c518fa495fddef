// launch: global (50, 10), local (10, 10)
#pragma OPENCL FP_CONTRACT OFF

// w - 0.1 * dw for each parameter
__kernel __attribute__((reqd_work_group_size(10, 10, 1)))
void sgd(
    __global float *restrict w,  // float32[400]
    __global float *restrict b,  // float32[30]
    __global const float *restrict dw,  // float32[400]
    __global const float *restrict db  // float32[30]
) {
    const int item = get_local_id(1) * 10 + get_local_id(0);
    const int group = get_group_id(0);
    if (group < 4) {
        const int g = group;
        const int t = get_local_id(1);
        const int u = get_local_id(0);
        const int tmp0 = g * 100 + t * 10 + u;
        w[tmp0] = fma(dw[tmp0], -0.1f, w[tmp0]);
    }
    if (4 <= group && group < 5) {
        const int h = group - 4;
        if (item < 30) {
            const int n = item;
            b[n] = fma(db[n], -0.1f, b[n]);
        }
    }
}
