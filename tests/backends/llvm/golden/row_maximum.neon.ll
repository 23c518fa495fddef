; for neon
define void @row_maximum(ptr %arguments, i64 %thread, i64 %threads, ptr noalias nocapture align 64 %scratch) {
entry:
  %out.slot = getelementptr ptr, ptr %arguments, i64 0
  %out = load ptr, ptr %out.slot, align 8, !invariant.load !0
  %x.slot = getelementptr ptr, ptr %arguments, i64 1
  %x = load ptr, ptr %x.slot, align 8, !invariant.load !0
  %best = alloca [4 x float], align 64
  %start = mul i64 %thread, 16
  %first = udiv i64 %start, %threads
  %stop = add i64 %start, 16
  %last = udiv i64 %stop, %threads
  %i.some = icmp slt i64 %first, %last
  br i1 %i.some, label %i.loop, label %i.done
i.loop:
  %i = phi i64 [ %first, %entry ], [ %i.next, %k.done ]
  store <4 x float> splat (float 0xFFF0000000000000), ptr %best, align 4
  %mul = mul nsw i64 %i, 32
  %x.at = getelementptr float, ptr %x, i64 %mul
  br label %k.loop
k.loop:
  %k = phi i64 [ 0, %i.loop ], [ %k.next, %k.loop ]
  %mul.1 = mul nsw i64 %k, 4
  %x.at.1 = getelementptr float, ptr %x.at, i64 %mul.1
  %x.at.2 = call ptr @llvm.launder.invariant.group.p0(ptr %x.at.1)
  %x.1 = load <4 x float>, ptr %x.at.2, align 4, !invariant.load !0
  %best.1 = load <4 x float>, ptr %best, align 4
  %max = call nsz <4 x float> @llvm.maximum.v4f32(<4 x float> %best.1, <4 x float> %x.1)
  store <4 x float> %max, ptr %best, align 4
  %k.next = add nuw nsw i64 %k, 1
  %k.more = icmp slt i64 %k.next, 8
  br i1 %k.more, label %k.loop, label %k.done
k.done:
  %best.2 = load <4 x float>, ptr %best, align 4
  %lanes = shufflevector <4 x float> %best.2, <4 x float> poison, <2 x i32> <i32 2, i32 3>
  %lanes.1 = shufflevector <4 x float> %best.2, <4 x float> poison, <2 x i32> <i32 0, i32 1>
  %max.1 = call nsz <2 x float> @llvm.maximum.v2f32(<2 x float> %lanes.1, <2 x float> %lanes)
  %lane = extractelement <2 x float> %max.1, i64 1
  %lane.1 = extractelement <2 x float> %max.1, i64 0
  %max.2 = call nsz float @llvm.maximum.f32(float %lane.1, float %lane)
  %out.at = getelementptr float, ptr %out, i64 %i
  store float %max.2, ptr %out.at, align 4
  %i.next = add nuw nsw i64 %i, 1
  %i.more = icmp slt i64 %i.next, %last
  br i1 %i.more, label %i.loop, label %i.done
i.done:
  ret void
}

declare <2 x float> @llvm.maximum.v2f32(<2 x float>, <2 x float>)
declare <4 x float> @llvm.maximum.v4f32(<4 x float>, <4 x float>)
declare float @llvm.maximum.f32(float, float)
declare ptr @llvm.launder.invariant.group.p0(ptr)

!0 = !{}
