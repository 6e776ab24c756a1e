;; Tail calls, extended constants, multiple values, SIMD: exits with 6.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (global $three i32 (i32.add (i32.const 1) (i32.const 2)))
  (func $two (result i32 i32) (i32.const 1) (global.get $three))
  (func $down (param i32) (result i32)
    (if (i32.eqz (local.get 0)) (then (return (i32.const 2))))
    (return_call $down (i32.sub (local.get 0) (i32.const 1))))
  (func (export "_start")
    (call $two) i32.add
    (call $down (i32.const 1000000)) i32.add
    (i32x4.extract_lane 0 (v128.const i32x4 0 0 0 0)) i32.add
    call $exit))
