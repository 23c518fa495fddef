; for avx2
define void @row_maximum(ptr %arguments, i64 %thread, i64 %threads, ptr noalias nocapture align 64 %scratch) {
entry:
  %out.slot = getelementptr ptr, ptr %arguments, i64 0
  %out = load ptr, ptr %out.slot, align 8, !invariant.load !0
  %x.slot = getelementptr ptr, ptr %arguments, i64 1
  %x = load ptr, ptr %x.slot, align 8, !invariant.load !0
  %best = alloca [8 x float], align 64
  %start = mul i64 %thread, 16
  %first = udiv i64 %start, %threads
  %stop = add i64 %start, 16
  %last = udiv i64 %stop, %threads
  %i.some = icmp slt i64 %first, %last
  br i1 %i.some, label %i.loop, label %i.done
i.loop:
  %i = phi i64 [ %first, %entry ], [ %i.next, %k.done ]
  store <8 x float> splat (float 0xFFF0000000000000), ptr %best, align 4
  %mul = mul nsw i64 %i, 64
  %x.at = getelementptr float, ptr %x, i64 %mul
  br label %k.loop
k.loop:
  %k = phi i64 [ 0, %i.loop ], [ %k.next, %k.loop ]
  %mul.1 = mul nsw i64 %k, 8
  %x.at.1 = getelementptr float, ptr %x.at, i64 %mul.1
  %x.at.2 = call ptr @llvm.launder.invariant.group.p0(ptr %x.at.1)
  %x.1 = load <8 x float>, ptr %x.at.2, align 4, !invariant.load !0
  %best.1 = load <8 x float>, ptr %best, align 4
  %max = call nsz <8 x float> @llvm.maximum.v8f32(<8 x float> %best.1, <8 x float> %x.1)
  store <8 x float> %max, ptr %best, align 4
  %k.next = add nuw nsw i64 %k, 1
  %k.more = icmp slt i64 %k.next, 8
  br i1 %k.more, label %k.loop, label %k.done
k.done:
  %best.2 = load <8 x float>, ptr %best, align 4
  %lanes = shufflevector <8 x float> %best.2, <8 x float> poison, <4 x i32> <i32 4, i32 5, i32 6, i32 7>
  %lanes.1 = shufflevector <8 x float> %best.2, <8 x float> poison, <4 x i32> <i32 0, i32 1, i32 2, i32 3>
  %max.1 = call nsz <4 x float> @llvm.maximum.v4f32(<4 x float> %lanes.1, <4 x float> %lanes)
  %lanes.2 = shufflevector <4 x float> %max.1, <4 x float> poison, <2 x i32> <i32 2, i32 3>
  %lanes.3 = shufflevector <4 x float> %max.1, <4 x float> poison, <2 x i32> <i32 0, i32 1>
  %max.2 = call nsz <2 x float> @llvm.maximum.v2f32(<2 x float> %lanes.3, <2 x float> %lanes.2)
  %lane = extractelement <2 x float> %max.2, i64 1
  %lane.1 = extractelement <2 x float> %max.2, i64 0
  %max.3 = call nsz float @llvm.maximum.f32(float %lane.1, float %lane)
  %out.at = getelementptr float, ptr %out, i64 %i
  store float %max.3, ptr %out.at, align 4
  %i.next = add nuw nsw i64 %i, 1
  %i.more = icmp slt i64 %i.next, %last
  br i1 %i.more, label %i.loop, label %i.done
i.done:
  ret void
}

declare <2 x float> @llvm.maximum.v2f32(<2 x float>, <2 x float>)
declare <4 x float> @llvm.maximum.v4f32(<4 x float>, <4 x float>)
declare <8 x float> @llvm.maximum.v8f32(<8 x float>, <8 x float>)
declare float @llvm.maximum.f32(float, float)
declare ptr @llvm.launder.invariant.group.p0(ptr)

!0 = !{}
