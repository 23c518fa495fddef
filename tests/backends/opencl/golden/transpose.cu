
// a.T
extern "C" __global__ void __launch_bounds__(256)
transpose(
    float *__restrict__ out,  // float32[3500]
    const float *__restrict__ a  // float32[3500]
) {
    __shared__ float tile[272];
    const int gi = blockIdx.y;
    const int gj = blockIdx.x;
    {
        const int ty = threadIdx.y;
        const int tx = threadIdx.x;
        tile[ty * 17 + tx] = gi * 16 + ty < 50 && gj * 16 + tx < 70 ? a[gi * 1120 + ty * 70 + gj * 16 + tx] : 0.0f;
    }
    __syncthreads();
    const int ty = threadIdx.y;
    const int tx = threadIdx.x;
    if (gj * 16 + ty < 70 && gi * 16 + tx < 50) {
        out[gj * 800 + ty * 50 + gi * 16 + tx] = tile[tx * 17 + ty];
    }
}
