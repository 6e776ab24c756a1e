// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package preview1

// args_get(argv, argv_buf): the arguments, each with a NUL behind it, and where
// each begins.
func argsGet(f *Front, p []uint64) Errno {
	return f.strings(f.sys.Args, uint32(p[0]), uint32(p[1]))
}

// args_sizes_get(count, size): how many arguments, and their size with NULs.
func argsSizesGet(f *Front, p []uint64) Errno {
	return f.stringSizes(f.sys.Args, uint32(p[0]), uint32(p[1]))
}

// environ_get(environ, environ_buf): the variables as KEY=value, like args_get.
func environGet(f *Front, p []uint64) Errno {
	return f.strings(f.sys.Env, uint32(p[0]), uint32(p[1]))
}

// environ_sizes_get(count, size): like args_sizes_get.
func environSizesGet(f *Front, p []uint64) Errno {
	return f.stringSizes(f.sys.Env, uint32(p[0]), uint32(p[1]))
}

// strings stores a pointer to each string at ptrs, and the strings at buf:
//
//	ptrs: [ buf | buf+2 | … ]   buf: [ 'a' 0 | 'b' 'c' 0 | … ]
func (f *Front) strings(list []string, ptrs, buf uint32) Errno {
	array, ok := f.array(ptrs, uint32(len(list)), 4)
	if !ok {
		return ErrnoFault
	}
	text, ok := f.Bytes(buf, stringSize(list))
	if !ok {
		return ErrnoFault
	}
	for i, s := range list {
		le.PutUint32(array[4*i:], buf)
		n := copy(text, s)
		text[n] = 0
		text = text[n+1:]
		buf += uint32(n) + 1
	}
	return ErrnoSuccess
}

func (f *Front) stringSizes(list []string, count, size uint32) Errno {
	if !f.PutUint32(count, uint32(len(list))) || !f.PutUint32(size, stringSize(list)) {
		return ErrnoFault
	}
	return ErrnoSuccess
}

func stringSize(list []string) (n uint32) {
	for _, s := range list {
		n += uint32(len(s)) + 1
	}
	return n
}
