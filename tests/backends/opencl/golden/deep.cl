// launch: global (768, 2, 12), local (256, 1, 1)
#pragma OPENCL FP_CONTRACT OFF

__kernel __attribute__((reqd_work_group_size(256, 1, 1)))
void deep(
    __global float *restrict out,  // float32[36288]
    __global const float *restrict a  // float32[36288]
) {
    const int item = get_local_id(0);
    const int group = get_group_id(2);
    const int g0 = group / 6;
    const int g1 = group / 2 % 3;
    const int g2 = group % 2;
    const int g3 = get_group_id(1);
    const int g4 = get_group_id(0);
    for (int n = item; n < 504; n += 256) {
        const int t0 = n / 72;
        const int t1 = n / 9 % 8;
        const int t2 = n % 9;
        const int tmp0 = g0 * 18144 + g1 * 6048 + g2 * 3024 + g3 * 1512 + g4 * 504 + t0 * 72 + t1 * 9;
        out[tmp0 + t2] = a[tmp0 + t2] + (float)t1;
    }
}
