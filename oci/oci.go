// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package oci turns a bundle, what its image says, its annotations and the
// operator's settings into a sandbox's configuration. [Configure] is the one
// entry; under it stands one small function for each row of the table in
// docs/capabilities.md. A guest gets what the bundle grants and nothing else;
// what the bundle asks and cannot be had is an error that says so, except
// where runc carries on.
//
// Only [Read] and [Inspect] look at the machine.
package oci

import (
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"containerd-shim-wazero/oci/annotation"
	"containerd-shim-wazero/oci/settings"
	"containerd-shim-wazero/sandbox/config"
)

// Annotations that the CRI plugin of containerd sets.
const (
	criContainerType    = "io.kubernetes.cri.container-type"
	criContainerName    = "io.kubernetes.cri.container-name"
	criSandboxName      = "io.kubernetes.cri.sandbox-name"
	criSandboxNamespace = "io.kubernetes.cri.sandbox-namespace"
)

// maxName is the longest name that Kubernetes gives to anything, in bytes.
const maxName = 253

// Input is all that a container's configuration is made of.
type Input struct {
	ID string
	// Bundle is the absolute path of the bundle's folder.
	Bundle string
	Spec   *specs.Spec
	// Module is the path on the host of the module that is the image itself
	// (an OCI artifact), "" for an image with a file system.
	Module   string
	Settings *settings.Settings
	Host     Host
}

// Configure makes the configuration of a container and of its first process.
// The error wraps errdefs.ErrInvalidArgument and its text is for the user.
func Configure(in Input) (*config.Container, error) {
	c, err := configure(in)
	if err != nil {
		return nil, invalid(err)
	}
	return c, nil
}

// invalid gives an error the code of a caller's mistake and leaves its words.
func invalid(err error) error { return errdefs.ErrInvalidArgument.WithMessage(err.Error()) }

func configure(in Input) (*config.Container, error) {
	spec := in.Spec
	if spec.Process == nil {
		return nil, errors.New("the bundle has no process")
	}
	if spec.Linux == nil {
		with := *spec
		with.Linux = new(specs.Linux)
		spec, in.Spec = &with, &with
	}
	if err := unsupported(spec.Linux); err != nil {
		return nil, err
	}
	grants, err := annotation.Parse(spec.Annotations, spec.Annotations[criContainerName], inPod(spec))
	if err != nil {
		return nil, err
	}
	args, initProgram := stripInit(spec.Process.Args, spec.Mounts)
	c, err := container(in, initProgram)
	if err != nil {
		return nil, err
	}
	p, err := firstProcess(in, args, c.Namespaces)
	if err != nil {
		return nil, err
	}
	ceiling := &in.Settings.Ceiling
	p.Preopens = grants.Preopens
	p.Network = network(c.Namespaces.Net.Own(), grants, ceiling)
	c.ReadonlyPaths = append(c.ReadonlyPaths, namingFiles(&p.Network.Grants)...)
	p.Timeout = shorter(grants.Timeout, ceiling.Timeout)
	p.CPUTimeout = shorter(grants.CPUTimeout, ceiling.CPUTimeout)
	c.Process = *p
	return c, nil
}

// container makes all of a container's configuration but its process.
func container(in Input, initProgram string) (*config.Container, error) {
	spec, linux := in.Spec, in.Spec.Linux
	c := &config.Container{ID: in.ID, Bundle: in.Bundle, Annotations: spec.Annotations, MountLabel: linux.MountLabel}
	var err error
	if c.Root, err = root(in.Bundle, spec.Root, linux.RootfsPropagation); err != nil {
		return nil, err
	}
	if c.Namespaces, err = namespaces(linux, in.Host); err != nil {
		return nil, err
	}
	var dropped []string
	if c.Mounts, dropped, err = mounts(spec.Mounts, in.Bundle, initProgram, c.Namespaces); err != nil {
		return nil, err
	}
	if c.Devices, err = devices(linux.Devices, c.Mounts); err != nil {
		return nil, err
	}
	if c.MaskedPaths, err = hiddenPaths("maskedPaths", linux.MaskedPaths, dropped); err != nil {
		return nil, err
	}
	if c.ReadonlyPaths, err = hiddenPaths("readonlyPaths", linux.ReadonlyPaths, dropped); err != nil {
		return nil, err
	}
	if c.Hostname, c.Domainname, err = names(spec.Hostname, spec.Domainname, c.Namespaces.UTS); err != nil {
		return nil, err
	}
	if c.Sysctl, err = sysctls(linux.Sysctl, c.Namespaces); err != nil {
		return nil, err
	}
	if c.Cgroup, err = cgroup(in.ID, linux, spec.Process.OOMScoreAdj); err != nil {
		return nil, err
	}
	c.Hooks, err = hooks(spec.Hooks)
	return c, err
}

// firstProcess makes a container's first process, without its grants.
func firstProcess(in Input, args []string, ns config.Namespaces) (*config.Process, error) {
	spec := *in.Spec.Process
	spec.Args = args
	p, err := process(&spec, ns, in.Host)
	if err != nil {
		return nil, err
	}
	p.Kind = kind(in.Spec.Annotations)
	p.Seccomp = seccomp(in.Spec.Linux.Seccomp)
	p.Personality = in.Spec.Linux.Personality
	p.Module, err = module(p, in.Module, in.Settings.ModuleMaxSize)
	return p, err
}

// ConfigureExec makes the configuration of a further process in a container.
// What belongs to the container (grants, preopens, seccomp, limits of time) is
// the first process's; what an exec leaves out is taken from there as runc
// does. Listening sockets are not preopened for it.
// The error wraps errdefs.ErrInvalidArgument and its text is for the user.
func ConfigureExec(c *config.Container, spec *specs.Process, host Host) (*config.Process, error) {
	p, err := configureExec(c, spec, host)
	if err != nil {
		return nil, invalid(err)
	}
	return p, nil
}

func configureExec(c *config.Container, spec *specs.Process, host Host) (*config.Process, error) {
	first := &c.Process
	p, err := process(spec, c.Namespaces, host)
	if err != nil {
		return nil, err
	}
	p.Kind = config.Wasm
	if p.Module, err = module(p, first.Module.Blob, first.Module.MaxSize); err != nil {
		return nil, err
	}
	if p.CPUAffinity, err = cpuAffinity(spec.ExecCPUAffinity); err != nil {
		return nil, err
	}
	if spec.User.Umask == nil {
		p.User.Umask = first.User.Umask
	}
	if len(spec.Rlimits) == 0 {
		p.Rlimits = first.Rlimits
	}
	if spec.ApparmorProfile == "" {
		p.AppArmorProfile = first.AppArmorProfile
	}
	if spec.SelinuxLabel == "" {
		p.SELinuxLabel = first.SELinuxLabel
	}
	p.NoNewPrivileges = spec.NoNewPrivileges || first.NoNewPrivileges
	p.Seccomp = first.Seccomp
	p.Personality = first.Personality
	p.Preopens = first.Preopens
	p.Network = first.Network
	p.Network.Preopen, p.Network.Exposed = nil, false
	p.Timeout, p.CPUTimeout = first.Timeout, first.CPUTimeout
	return p, nil
}

// process makes what a container's first process and an exec have in common.
func process(spec *specs.Process, ns config.Namespaces, host Host) (*config.Process, error) {
	p := &config.Process{
		Terminal:        spec.Terminal,
		NoNewPrivileges: spec.NoNewPrivileges,
		Capabilities:    capabilities(spec.Capabilities, spec.User.UID),
	}
	var err error
	if p.Args, err = arguments(spec.Args); err != nil {
		return nil, err
	}
	if p.Cwd, err = workingDirectory(spec.Cwd); err != nil {
		return nil, err
	}
	if p.Env, err = environment(spec.Env, p.Cwd); err != nil {
		return nil, err
	}
	if err := checkSize(p.Args, p.Env); err != nil {
		return nil, err
	}
	if p.User, err = user(&spec.User, ns); err != nil {
		return nil, err
	}
	if p.Rlimits, err = rlimits(spec.Rlimits); err != nil {
		return nil, err
	}
	if p.AppArmorProfile, err = appArmor(spec.ApparmorProfile, host); err != nil {
		return nil, err
	}
	if p.SELinuxLabel, err = seLinux(spec.SelinuxLabel, host); err != nil {
		return nil, err
	}
	if p.Scheduler, err = scheduler(spec.Scheduler); err != nil {
		return nil, err
	}
	if p.IOPriority, err = ioPriority(spec.IOPriority); err != nil {
		return nil, err
	}
	p.ConsoleWidth, p.ConsoleHeight = consoleSize(spec.Terminal, spec.ConsoleSize)
	return p, nil
}

// inPod reports whether the bundle is of a Kubernetes pod.
func inPod(spec *specs.Spec) bool { return spec.Annotations[criContainerType] != "" }

// IsPodContainer tells a container of a Kubernetes pod from the pod's pause
// container and from containers that are in no pod.
func IsPodContainer(spec *specs.Spec) bool { return spec.Annotations[criContainerType] == "container" }

// PodNames returns a pod's name, as NAMESPACE/NAME, and that of a container in
// it, for log lines. Each is "" where the annotations have none, or one that
// Kubernetes would not give: a line of the log has no room for those.
func PodNames(annotations map[string]string) (pod, container string) {
	named := func(key string) string {
		if name := annotations[key]; len(name) <= maxName {
			return name
		}
		return ""
	}
	namespace, name := named(criSandboxNamespace), named(criSandboxName)
	if namespace != "" && name != "" {
		pod = namespace + "/" + name
	}
	return pod, named(criContainerName)
}

// kind tells a pod's pause container, whose program is never run, from the rest.
func kind(annotations map[string]string) config.Kind {
	if annotations[criContainerType] == "sandbox" {
		return config.Pause
	}
	return config.Wasm
}

// unsupported refuses, by name, what no part of this runtime can carry out.
func unsupported(linux *specs.Linux) error {
	switch {
	case linux.IntelRdt != nil:
		return errors.New("linux.intelRdt is not supported by this runtime")
	case linux.MemoryPolicy != nil:
		return errors.New("linux.memoryPolicy is not supported by this runtime")
	case len(linux.NetDevices) > 0:
		return errors.New("linux.netDevices is not supported by this runtime")
	case len(linux.TimeOffsets) > 0:
		return errors.New("linux.timeOffsets are not supported by this runtime")
	}
	if p := linux.Personality; p != nil && p.Domain != specs.PerLinux && p.Domain != specs.PerLinux32 {
		return fmt.Errorf("linux.personality has the unknown domain %.40q", p.Domain)
	}
	return nil
}
