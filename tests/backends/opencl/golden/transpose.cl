// launch: global (80, 64), local (16, 16)
#pragma OPENCL FP_CONTRACT OFF

// a.T
__kernel __attribute__((reqd_work_group_size(16, 16, 1)))
void transpose(
    __global float *restrict out,  // float32[3500]
    __global const float *restrict a  // float32[3500]
) {
    __local float tile[272];
    const int gi = get_group_id(1);
    const int gj = get_group_id(0);
    {
        const int ty = get_local_id(1);
        const int tx = get_local_id(0);
        tile[ty * 17 + tx] = gi * 16 + ty < 50 && gj * 16 + tx < 70 ? a[gi * 1120 + ty * 70 + gj * 16 + tx] : 0.0f;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    const int ty = get_local_id(1);
    const int tx = get_local_id(0);
    if (gj * 16 + ty < 70 && gi * 16 + tx < 50) {
        out[gj * 800 + ty * 50 + gi * 16 + tx] = tile[tx * 17 + ty];
    }
}
