
// out[i, j] = sum over k of a[i, k] * b[k, j]
extern "C" __global__ void __launch_bounds__(64)
matmul(
    float *__restrict__ out,  // float32[8192]
    const float *__restrict__ a,  // float32[4096]
    const float *__restrict__ b  // float32[2048]
) {
    __shared__ float tile_a[256];
    __shared__ float tile_b[256];
    const int item = threadIdx.y * 8 + threadIdx.x;
    const int gi = blockIdx.y;
    const int gj = blockIdx.x;
    float acc_0, acc_1, acc_2, acc_3, acc_4, acc_5, acc_6, acc_7;
    float acc_8, acc_9, acc_10, acc_11, acc_12, acc_13, acc_14, acc_15;
    {
        const int ty = threadIdx.y;
        const int tx = threadIdx.x;
        acc_0 = 0.0f;
        acc_1 = 0.0f;
        acc_2 = 0.0f;
        acc_3 = 0.0f;
        acc_4 = 0.0f;
        acc_5 = 0.0f;
        acc_6 = 0.0f;
        acc_7 = 0.0f;
        acc_8 = 0.0f;
        acc_9 = 0.0f;
        acc_10 = 0.0f;
        acc_11 = 0.0f;
        acc_12 = 0.0f;
        acc_13 = 0.0f;
        acc_14 = 0.0f;
        acc_15 = 0.0f;
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
        __syncthreads();
        {
            const int ty = threadIdx.y;
            const int tx = threadIdx.x;
            for (int ki = 0; ki < 8; ki++) {
                const float a0 = tile_a[ki * 32 + ty * 4];
                const float a1 = tile_a[ki * 32 + ty * 4 + 1];
                const float a2 = tile_a[ki * 32 + ty * 4 + 2];
                const float a3 = tile_a[ki * 32 + ty * 4 + 3];
                const float b0_0 = tile_b[ki * 32 + tx * 4];
                const float b0_1 = tile_b[ki * 32 + tx * 4 + 1];
                const float b0_2 = tile_b[ki * 32 + tx * 4 + 2];
                const float b0_3 = tile_b[ki * 32 + tx * 4 + 3];
                acc_0 = fma(a0, b0_0, acc_0);
                acc_1 = fma(a0, b0_1, acc_1);
                acc_2 = fma(a0, b0_2, acc_2);
                acc_3 = fma(a0, b0_3, acc_3);
                acc_4 = fma(a1, b0_0, acc_4);
                acc_5 = fma(a1, b0_1, acc_5);
                acc_6 = fma(a1, b0_2, acc_6);
                acc_7 = fma(a1, b0_3, acc_7);
                acc_8 = fma(a2, b0_0, acc_8);
                acc_9 = fma(a2, b0_1, acc_9);
                acc_10 = fma(a2, b0_2, acc_10);
                acc_11 = fma(a2, b0_3, acc_11);
                acc_12 = fma(a3, b0_0, acc_12);
                acc_13 = fma(a3, b0_1, acc_13);
                acc_14 = fma(a3, b0_2, acc_14);
                acc_15 = fma(a3, b0_3, acc_15);
            }
        }
        __syncthreads();
    }
    const int ty = threadIdx.y;
    const int tx = threadIdx.x;
    out[gi * 2048 + ty * 256 + gj * 32 + tx * 4] = acc_0;
    out[gi * 2048 + ty * 256 + gj * 32 + tx * 4 + 1] = acc_1;
    out[gi * 2048 + ty * 256 + gj * 32 + tx * 4 + 2] = acc_2;
    out[gi * 2048 + ty * 256 + gj * 32 + tx * 4 + 3] = acc_3;
    out[gi * 2048 + ty * 256 + gj * 32 + tx * 4 + 64] = acc_4;
    out[gi * 2048 + ty * 256 + gj * 32 + tx * 4 + 65] = acc_5;
    out[gi * 2048 + ty * 256 + gj * 32 + tx * 4 + 66] = acc_6;
    out[gi * 2048 + ty * 256 + gj * 32 + tx * 4 + 67] = acc_7;
    out[gi * 2048 + ty * 256 + gj * 32 + tx * 4 + 128] = acc_8;
    out[gi * 2048 + ty * 256 + gj * 32 + tx * 4 + 129] = acc_9;
    out[gi * 2048 + ty * 256 + gj * 32 + tx * 4 + 130] = acc_10;
    out[gi * 2048 + ty * 256 + gj * 32 + tx * 4 + 131] = acc_11;
    out[gi * 2048 + ty * 256 + gj * 32 + tx * 4 + 192] = acc_12;
    out[gi * 2048 + ty * 256 + gj * 32 + tx * 4 + 193] = acc_13;
    out[gi * 2048 + ty * 256 + gj * 32 + tx * 4 + 194] = acc_14;
    out[gi * 2048 + ty * 256 + gj * 32 + tx * 4 + 195] = acc_15;
}
