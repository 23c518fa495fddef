; for sse2
define void @row_maximum(ptr %arguments, i64 %thread, i64 %threads, ptr %scratch) {
  %out.slot = getelementptr ptr, ptr %arguments, i64 0
  %out = load ptr, ptr %out.slot, align 8
  %x.slot = getelementptr ptr, ptr %arguments, i64 1
  %x = load ptr, ptr %x.slot, align 8
  call void @row_maximum.body(ptr %out, ptr %x, i64 %thread, i64 %threads, ptr %scratch)
  ret void
}

define internal void @row_maximum.body(ptr noalias nocapture %out, ptr noalias nocapture %x, i64 %thread, i64 %threads, ptr noalias nocapture align 64 %scratch) {
entry:
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
  %x.1 = load <4 x float>, ptr %x.at.1, align 4, !invariant.load !0
  %best.1 = load <4 x float>, ptr %best, align 4
  %first.1 = fcmp ogt <4 x float> %best.1, %x.1
  %max = select <4 x i1> %first.1, <4 x float> %best.1, <4 x float> %x.1
  %nan = fcmp uno <4 x float> %best.1, %best.1
  %max.1 = select <4 x i1> %nan, <4 x float> %best.1, <4 x float> %max
  store <4 x float> %max.1, ptr %best, align 4
  %k.next = add nuw nsw i64 %k, 1
  %k.more = icmp slt i64 %k.next, 8
  br i1 %k.more, label %k.loop, label %k.done
k.done:
  %best.2 = load <4 x float>, ptr %best, align 4
  %lanes = shufflevector <4 x float> %best.2, <4 x float> poison, <2 x i32> <i32 0, i32 1>
  %lanes.1 = shufflevector <4 x float> %best.2, <4 x float> poison, <2 x i32> <i32 2, i32 3>
  %first.2 = fcmp ogt <2 x float> %lanes, %lanes.1
  %max.2 = select <2 x i1> %first.2, <2 x float> %lanes, <2 x float> %lanes.1
  %nan.1 = fcmp uno <2 x float> %lanes, %lanes
  %max.3 = select <2 x i1> %nan.1, <2 x float> %lanes, <2 x float> %max.2
  %lane = extractelement <2 x float> %max.3, i64 0
  %lane.1 = extractelement <2 x float> %max.3, i64 1
  %first.3 = fcmp ogt float %lane, %lane.1
  %max.4 = select i1 %first.3, float %lane, float %lane.1
  %nan.2 = fcmp uno float %lane, %lane
  %max.5 = select i1 %nan.2, float %lane, float %max.4
  %out.at = getelementptr float, ptr %out, i64 %i
  store float %max.5, ptr %out.at, align 4
  %i.next = add nuw nsw i64 %i, 1
  %i.more = icmp slt i64 %i.next, %last
  br i1 %i.more, label %i.loop, label %i.done
i.done:
  ret void
}


!0 = !{}
