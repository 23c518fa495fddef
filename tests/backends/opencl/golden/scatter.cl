// launch: global (512,), local (128,)
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

float bfloat_value(ushort bits) {
    return as_float((uint)(bits) << 16);
}

ushort bfloat_bits(float x) {  // to nearest even; nan stays nan
    uint bits = as_uint(x);
    return (ushort)(x != x ? (bits >> 16) | 0x40u : (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

void atomic_sum_bfloat16_global(volatile __global ushort *place, float value) {
    const uint byte = (uint)((size_t)place & 3);
    const uint shift = 8 * byte, kept = ~(0xffffu << shift);
    volatile __global uint *word = (volatile __global uint *)((volatile __global uchar *)place - byte);
    uint old, seen = atomic_cmpxchg(word, 0, 0);  // reads it, atomically
    do {
        old = seen;
        const ushort before = (ushort)(old >> shift);
        const ushort new = bfloat_bits(bfloat_value(before) + value);
        if (new == before)
            break;
        seen = atomic_cmpxchg(word, old, (old & kept) | ((uint)new << shift));
    } while (seen != old);
}

void atomic_max_bool_global(volatile __global uchar *place, bool value) {
    const uint byte = (uint)((size_t)place & 3);
    const uint shift = 8 * byte, kept = ~(0xffu << shift);
    volatile __global uint *word = (volatile __global uint *)((volatile __global uchar *)place - byte);
    uint old, seen = atomic_cmpxchg(word, 0, 0);  // reads it, atomically
    do {
        old = seen;
        const uchar before = (uchar)(old >> shift);
        const uchar new = before | value;
        if (new == before)
            break;
        seen = atomic_cmpxchg(word, old, (old & kept) | ((uint)new << shift));
    } while (seen != old);
}

__kernel __attribute__((reqd_work_group_size(128, 1, 1)))
void scatter(
    __global float *restrict total,  // float32[11]
    __global ushort *restrict count,  // bfloat16[11]
    __global uchar *restrict v_any,  // bool[11]
    __global const long *restrict indices,  // int64[500]
    __global const float *restrict values  // float32[500]
) {
    const int g = get_group_id(0);
    const int t = get_local_id(0);
    if (g * 128 + t < 500) {
        const long tmp0 = indices[g * 128 + t];
        atomic_sum_float32_global(total + tmp0, values[g * 128 + t]);
        const long tmp1 = indices[g * 128 + t];
        atomic_sum_bfloat16_global(count + tmp1, 1.0f);
        const long tmp2 = indices[g * 128 + t];
        atomic_max_bool_global(v_any + tmp2, 2.5f < values[g * 128 + t]);
    }
}
