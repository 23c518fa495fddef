; out = x * s + y
; lanes: the width
; for avx512
define void @scaled_sum(ptr %arguments, i64 %thread, i64 %threads, ptr noalias nocapture align 64 %scratch) {
entry:
  %out.slot = getelementptr ptr, ptr %arguments, i64 0
  %out = load ptr, ptr %out.slot, align 8, !invariant.load !0
  %x.slot = getelementptr ptr, ptr %arguments, i64 1
  %x = load ptr, ptr %x.slot, align 8, !invariant.load !0
  %y.slot = getelementptr ptr, ptr %arguments, i64 2
  %y = load ptr, ptr %y.slot, align 8, !invariant.load !0
  %s.slot = getelementptr ptr, ptr %arguments, i64 3
  %s = load ptr, ptr %s.slot, align 8, !invariant.load !0
  %start = mul i64 %thread, 6
  %first = udiv i64 %start, %threads
  %stop = add i64 %start, 6
  %last = udiv i64 %stop, %threads
  %s.1 = load float, ptr %s, align 4, !invariant.load !0
  %i.some = icmp slt i64 %first, %last
  br i1 %i.some, label %i.loop, label %i.done
i.loop:
  %i = phi i64 [ %first, %entry ], [ %i.next, %i.loop ]
  %mul = mul nsw i64 %i, 16
  %y.at = getelementptr float, ptr %y, i64 %mul
  %y.1 = load <16 x float>, ptr %y.at, align 4, !invariant.load !0
  %one = insertelement <16 x float> poison, float %s.1, i64 0
  %lanes = shufflevector <16 x float> %one, <16 x float> poison, <16 x i32> zeroinitializer
  %x.at = getelementptr float, ptr %x, i64 %mul
  %x.1 = load <16 x float>, ptr %x.at, align 4, !invariant.load !0
  %mul.1 = fmul <16 x float> %x.1, %lanes
  %add = fadd <16 x float> %mul.1, %y.1
  %out.at = getelementptr float, ptr %out, i64 %mul
  store <16 x float> %add, ptr %out.at, align 4
  %i.next = add nuw nsw i64 %i, 1
  %i.more = icmp slt i64 %i.next, %last
  br i1 %i.more, label %i.loop, label %i.done
i.done:
  %start.1 = mul i64 %thread, 1
  %first.1 = udiv i64 %start.1, %threads
  %stop.1 = add i64 %start.1, 1
  %last.1 = udiv i64 %stop.1, %threads
  %lt = icmp slt <16 x i32> <i32 96, i32 97, i32 98, i32 99, i32 100, i32 101, i32 102, i32 103, i32 104, i32 105, i32 106, i32 107, i32 108, i32 109, i32 110, i32 111>, splat (i32 100)
  %rest.some = icmp slt i64 %first.1, %last.1
  br i1 %rest.some, label %rest.loop, label %rest.done
rest.loop:
  %rest = phi i64 [ %first.1, %i.done ], [ %rest.next, %rest.loop ]
  %y.at.1 = getelementptr float, ptr %y, i64 96
  %y.2 = call <16 x float> @llvm.masked.load.v16f32.p0(ptr %y.at.1, i32 4, <16 x i1> %lt, <16 x float> zeroinitializer)
  %one.1 = insertelement <16 x float> poison, float %s.1, i64 0
  %lanes.1 = shufflevector <16 x float> %one.1, <16 x float> poison, <16 x i32> zeroinitializer
  %x.at.1 = getelementptr float, ptr %x, i64 96
  %x.2 = call <16 x float> @llvm.masked.load.v16f32.p0(ptr %x.at.1, i32 4, <16 x i1> %lt, <16 x float> zeroinitializer)
  %mul.2 = fmul <16 x float> %x.2, %lanes.1
  %add.1 = fadd <16 x float> %mul.2, %y.2
  %out.at.1 = getelementptr float, ptr %out, i64 96
  call void @llvm.masked.store.v16f32.p0(<16 x float> %add.1, ptr %out.at.1, i32 4, <16 x i1> %lt)
  %rest.next = add nuw nsw i64 %rest, 1
  %rest.more = icmp slt i64 %rest.next, %last.1
  br i1 %rest.more, label %rest.loop, label %rest.done
rest.done:
  ret void
}

declare <16 x float> @llvm.masked.load.v16f32.p0(ptr, i32, <16 x i1>, <16 x float>)
declare void @llvm.masked.store.v16f32.p0(<16 x float>, ptr, i32, <16 x i1>)

!0 = !{}
