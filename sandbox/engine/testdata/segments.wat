;; Segments of every kind in a memory with holes: active ones at both ends and
;; across a page boundary, overlapping ones, a passive one copied by memory.init,
;; and memory.init of an active one, which has no bytes left. Exits with the sum
;; of what it finds.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 40)
  (data (i32.const 0) "\01")
  (data (i32.const 65534) "\02\02\02\02")
  (data (i32.const 131072) "\05")
  (data $passive "\09")
  (data (i32.const 2621439) "\08")
  (data $over (i32.const 65535) "\04")
  (func (export "_start") (local $sum i32)
    (memory.init $passive (i32.const 900000) (i32.const 0) (i32.const 1))
    (memory.init $over (i32.const 0) (i32.const 0) (i32.const 0))
    (i32.load8_u (i32.const 0))
    (i32.load8_u (i32.const 65534)) i32.add
    (i32.load8_u (i32.const 65535)) i32.add
    (i32.load8_u (i32.const 65536)) i32.add
    (i32.load8_u (i32.const 65537)) i32.add
    (i32.load8_u (i32.const 131072)) i32.add
    (i32.load8_u (i32.const 900000)) i32.add
    (i32.load8_u (i32.const 2621439)) i32.add
    (i32.load8_u (i32.const 1000000)) i32.add
    call $exit))
