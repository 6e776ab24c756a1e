;; Exits with the number of times that its memory of 1 page grew by 16, at most
;; 100; "check" traps at the first refusal.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $n i32)
    (loop $again
      (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1))
        (then (call $exit (local.get $n))))
      ;; the new page is there, and empty
      (if (i32.load (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 4)))
        (then unreachable))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $n) (i32.const 100))))
    (call $exit (local.get $n)))
  (func (export "check")
    (loop $again
      (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
      (br $again))))
