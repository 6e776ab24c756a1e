;; A start section: exits with what the data segment says plus what the start
;; function has put beside it, 7 + 3.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\07")
  (start $begin)
  (func $begin (i32.store8 (i32.const 1) (i32.const 3)))
  (func (export "_start")
    (call $exit (i32.add (i32.load8_u (i32.const 0)) (i32.load8_u (i32.const 1))))))
