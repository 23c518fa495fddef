// launch: global (16, 32), local (8, 8)
#pragma OPENCL FP_CONTRACT OFF

// out[i, j] = sum over k of a[i, k] * b[k, j]
__kernel __attribute__((reqd_work_group_size(8, 8, 1)))
void matmul(
    __global float *restrict out,  // float32[8192]
    __global const float *restrict a,  // float32[4096]
    __global const float *restrict b  // float32[2048]
) {
    __local float tile_a[256];
    __local float tile_b[256] __attribute__((aligned(64)));
    const int item = get_local_id(1) * 8 + get_local_id(0);
    const int gi = get_group_id(1);
    const int gj = get_group_id(0);
    float4 acc_0, acc_1, acc_2, acc_3;
    {
        const int ty = get_local_id(1);
        const int tx = get_local_id(0);
        acc_0 = (float4)(0.0f);
        acc_1 = (float4)(0.0f);
        acc_2 = (float4)(0.0f);
        acc_3 = (float4)(0.0f);
    }
    for (int ko = 0; ko < 4; ko++) {
        for (int e = item; e < 256; e += 64) {
            tile_a[(e & 7) * 32 + (e >> 3)] = a[gi * 1024 + (e >> 3) * 32 + ko * 8 + (e & 7)];
        }
        for (int n = item; n < 256; n += 64) {
            const int row = n / 32;
            const int column = n % 32;
            tile_b[row * 32 + column] = b[ko * 512 + row * 64 + gj * 32 + column];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        {
            const int ty = get_local_id(1);
            const int tx = get_local_id(0);
            for (int ki = 0; ki < 8; ki++) {
                const float a0 = tile_a[ki * 32 + ty * 4];
                const float a1 = tile_a[ki * 32 + ty * 4 + 1];
                const float a2 = tile_a[ki * 32 + ty * 4 + 2];
                const float a3 = tile_a[ki * 32 + ty * 4 + 3];
                const float4 b0 = *(__local const float4 *)(tile_b + ki * 32 + tx * 4);
                acc_0 = fma((float4)(a0), b0, acc_0);
                acc_1 = fma((float4)(a1), b0, acc_1);
                acc_2 = fma((float4)(a2), b0, acc_2);
                acc_3 = fma((float4)(a3), b0, acc_3);
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    const int ty = get_local_id(1);
    const int tx = get_local_id(0);
    *(__global float4 *)(out + gi * 2048 + ty * 256 + gj * 32 + tx * 4) = acc_0;
    *(__global float4 *)(out + gi * 2048 + ty * 256 + gj * 32 + tx * 4 + 64) = acc_1;
    *(__global float4 *)(out + gi * 2048 + ty * 256 + gj * 32 + tx * 4 + 128) = acc_2;
    *(__global float4 *)(out + gi * 2048 + ty * 256 + gj * 32 + tx * 4 + 192) = acc_3;
}
