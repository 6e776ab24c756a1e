;; 100 MiB of memory to begin with.
(module (memory (export "memory") 1600) (func (export "_start")))
