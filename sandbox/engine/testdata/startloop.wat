;; A start section that would never end, and no other export.
(module
  (start $begin)
  (func $begin (loop (br 0)))
  (func (export "_start")))
