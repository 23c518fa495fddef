// launch: global (512,), local (64,)
#pragma OPENCL FP_CONTRACT OFF

void atomic_sum_float32_global(volatile __global float *place, float value) {
    volatile __global uint *word = (volatile __global uint *)place;
    uint old, seen = atomic_cmpxchg(word, 0, 0);  // reads it, atomically
    do {
        old = seen;
        const uint new = as_uint(as_float(old) + value);
        if (new == old)
            break;
        seen = atomic_cmpxchg(word, old, new);
    } while (seen != old);
}

// sum of a
__kernel __attribute__((reqd_work_group_size(64, 1, 1)))
void total(
    __global float *restrict out,  // float32[1]
    __global const float *restrict a  // float32[512]
) {
    __local float partial[64];
    const int item = get_local_id(0);
    const int g = get_group_id(0);
    {
        const int t = get_local_id(0);
        partial[t] = a[g * 64 + t];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    float acc;
    acc = 0.0f;
    for (int k = 0; k < 64; k++) {
        acc = acc + partial[k];
    }
    if (item == 0) {
        atomic_sum_float32_global(out, acc);
    }
}
