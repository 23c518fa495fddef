
// sum over columns of a
extern "C" __global__ void __launch_bounds__(128)
row_sum(
    float *__restrict__ out,  // float32[12]
    const float *__restrict__ a  // float32[12000]
) {
    __shared__ float partial[128];
    const int item = threadIdx.x;
    const int row = blockIdx.x;
    {
        const int t = threadIdx.x;
        float acc;
        acc = 0.0f;
        for (int s = 0; s < 8; s++) {
            acc = acc + (s * 128 + t < 1000 ? a[row * 1000 + s * 128 + t] : 0.0f);
        }
        partial[t] = acc;
    }
    __syncthreads();
    if (item < 64) {
        const int t = item;
        partial[t] = partial[t] + partial[t + 64];
    }
    __syncthreads();
    if (item < 32) {
        const int t = item;
        partial[t] = partial[t] + partial[t + 32];
    }
    __syncthreads();
    if (item < 16) {
        const int t = item;
        partial[t] = partial[t] + partial[t + 16];
    }
    __syncthreads();
    if (item < 8) {
        const int t = item;
        partial[t] = partial[t] + partial[t + 8];
    }
    __syncthreads();
    if (item < 4) {
        const int t = item;
        partial[t] = partial[t] + partial[t + 4];
    }
    __syncthreads();
    if (item < 2) {
        const int t = item;
        partial[t] = partial[t] + partial[t + 2];
    }
    __syncthreads();
    if (item < 1) {
        const int t = item;
        partial[t] = partial[t] + partial[1];
    }
    __syncthreads();
    if (item == 0) {
        out[row] = partial[0];
    }
}
