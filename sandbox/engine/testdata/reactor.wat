;; A reactor: run exits with 5 if _initialize was called.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (global $ready (mut i32) (i32.const 0))
  (func (export "_initialize") (global.set $ready (i32.const 5)))
  (func (export "run") (call $exit (global.get $ready)))
  (func (export "answer") (result i32) (i32.const 42))
  (func (export "add") (param i32 i32) (result i32) (i32.const 0)))
