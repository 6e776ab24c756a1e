// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/oci/settings"
)

// minKernel is the oldest Linux with the system calls the sandbox needs.
const minKernelMajor, minKernelMinor = 5, 15

func kernel(context.Context) []Finding {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return []Finding{{Missing, "kernel", err.Error(), ""}}
	}
	return append(privileges(), kernelRelease(unix.ByteSliceToString(u.Release[:])))
}

func kernelRelease(release string) Finding {
	var major, minor int
	_, _ = fmt.Sscanf(release, "%d.%d", &major, &minor)
	if major > minKernelMajor || major == minKernelMajor && minor >= minKernelMinor {
		return fine("kernel", "Linux %s", release)
	}
	return Finding{Missing, "kernel", "Linux " + release, fmt.Sprintf("use Linux %d.%d or later", minKernelMajor, minKernelMinor)}
}

func privileges() []Finding {
	if os.Geteuid() == 0 {
		return nil
	}
	return []Finding{{Note, "user", "not root: some things cannot be looked at", "run this as root"}}
}

func cgroups(context.Context) []Finding {
	const root = "/sys/fs/cgroup"
	var st unix.Statfs_t
	if err := unix.Statfs(root, &st); err != nil {
		return []Finding{{Missing, "cgroups", err.Error(), "mount cgroups on " + root}}
	}
	if st.Type == unix.CGROUP2_SUPER_MAGIC {
		data, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
		if err != nil {
			return []Finding{{Missing, "cgroups", err.Error(), ""}}
		}
		return controllers("2", strings.Fields(string(data)))
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return []Finding{{Missing, "cgroups", err.Error(), ""}}
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return controllers("1", names)
}

func controllers(version string, names []string) []Finding {
	have := make(map[string]bool)
	for _, n := range names {
		have[n] = true
	}
	var without []string
	for _, need := range []string{"cpu", "memory", "pids"} {
		if !have[need] {
			without = append(without, need)
		}
	}
	if len(without) > 0 {
		return []Finding{{Note, "cgroups", fmt.Sprintf("version %s, without %s: such limits have no effect or are refused", version, strings.Join(without, ", ")),
			"enable the controllers, on the kernel's command line if need be"}}
	}
	return []Finding{fine("cgroups", "version %s", version)}
}

func security(context.Context) []Finding {
	var all []Finding
	// PR_GET_SECCOMP fails only where the kernel has no seccomp.
	if _, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0); err != nil {
		all = append(all, Finding{Missing, "seccomp", "the kernel has none", "use a kernel with CONFIG_SECCOMP_FILTER"})
	} else {
		all = append(all, fine("seccomp", "in the kernel"))
	}
	if data, err := os.ReadFile("/sys/module/apparmor/parameters/enabled"); err == nil && strings.HasPrefix(string(data), "Y") {
		all = append(all, fine("AppArmor", "in the kernel"))
	}
	if data, err := os.ReadFile("/proc/sys/user/max_user_namespaces"); err == nil && strings.TrimSpace(string(data)) == "0" {
		all = append(all, Finding{Note, "user ns", "switched off: containers with a user namespace do not start",
			"sysctl -w user.max_user_namespaces=15000"})
	}
	return all
}

func cache(context.Context) []Finding {
	set, err := settings.Load("")
	if err != nil {
		return []Finding{{Missing, "settings", err.Error(), "mend the file, or remove it to have the defaults"}}
	}
	all := []Finding{settingsFile()}
	info, err := os.Stat(set.CacheDir)
	if os.IsNotExist(err) {
		return append(all, fine("cache", "%s is not there yet: it comes with the first container", set.CacheDir))
	}
	if err != nil {
		return append(all, Finding{Missing, "cache", err.Error(), ""})
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && (st.Uid != 0 || info.Mode().Perm()&0o022 != 0) {
		return append(all, Finding{Missing, "cache", fmt.Sprintf("%s can be written to by others than root", set.CacheDir),
			fmt.Sprintf("chown root %[1]s && chmod 0700 %[1]s", set.CacheDir)})
	}
	files, size := usage(set.CacheDir)
	return append(all, fine("cache", "%s: %d files, %d MB of %d MB", set.CacheDir, files, size>>20, set.CacheMaxSize>>20))
}

func settingsFile() Finding {
	if _, err := os.Stat(settings.DefaultFile); err != nil {
		return fine("settings", "the defaults (no %s)", settings.DefaultFile)
	}
	return fine("settings", "%s", settings.DefaultFile)
}

// usage counts a folder's files and their bytes.
func usage(dir string) (files int, size int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil //nolint:nilerr // what cannot be read is not counted
		}
		if info, err := d.Info(); err == nil {
			files++
			size += info.Size()
		}
		return nil
	})
	return files, size
}
