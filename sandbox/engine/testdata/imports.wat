(module
  (import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))
  (import "env" "foo" (func (param i32)))
  (import "env" "bar" (global i32))
  (func (export "_start")))
