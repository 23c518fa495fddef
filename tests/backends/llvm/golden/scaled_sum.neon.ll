; out = x * s + y
; lanes: the width
; for neon
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
  %start = mul i64 %thread, 25
  %first = udiv i64 %start, %threads
  %stop = add i64 %start, 25
  %last = udiv i64 %stop, %threads
  %s.1 = load float, ptr %s, align 4, !invariant.load !0
  %i.some = icmp slt i64 %first, %last
  br i1 %i.some, label %i.loop, label %i.done
i.loop:
  %i = phi i64 [ %first, %entry ], [ %i.next, %i.loop ]
  %mul = mul nsw i64 %i, 4
  %y.at = getelementptr float, ptr %y, i64 %mul
  %y.1 = load <4 x float>, ptr %y.at, align 4, !invariant.load !0
  %one = insertelement <4 x float> poison, float %s.1, i64 0
  %lanes = shufflevector <4 x float> %one, <4 x float> poison, <4 x i32> zeroinitializer
  %x.at = getelementptr float, ptr %x, i64 %mul
  %x.1 = load <4 x float>, ptr %x.at, align 4, !invariant.load !0
  %mul.1 = fmul <4 x float> %x.1, %lanes
  %add = fadd <4 x float> %mul.1, %y.1
  %out.at = getelementptr float, ptr %out, i64 %mul
  store <4 x float> %add, ptr %out.at, align 4
  %i.next = add nuw nsw i64 %i, 1
  %i.more = icmp slt i64 %i.next, %last
  br i1 %i.more, label %i.loop, label %i.done
i.done:
  ret void
}


!0 = !{}
