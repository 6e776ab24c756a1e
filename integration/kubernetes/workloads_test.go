// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package kubernetes

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/kubernetes/cluster"
)

// count is the large count where all is tested, else the small one.
func count(small, large int) int {
	if harness.Full() {
		return large
	}
	return small
}

func webDeployment(replicas int, version string) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: %d
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      %s
      containers:
      - name: web
        image: %s
        imagePullPolicy: Never
        env: [{name: VERSION, value: "%s"}]
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
        lifecycle: {preStop: {sleep: {seconds: 3}}}
        ports: [{containerPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
`, replicas, strings.ReplaceAll(wasm, ", ", "\n      "), web, version)
}

// deployment is rolled to a new version without a failed request.
func deployment(t *testing.T, ns *cluster.Namespace) {
	replicas := count(3, 20)
	ns.Apply(webDeployment(replicas, "one"))
	ns.Kubectl("rollout", "status", "deployment/web", "--timeout=50s").Exits(0)
	url := "http://" + ns.Ask("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}") + "/"
	client := &http.Client{Timeout: harness.Patience, Transport: &http.Transport{DisableKeepAlives: true}}
	get := func() (string, error) {
		res, err := client.Get(url)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		return strings.TrimSpace(string(body)), err
	}
	ns.Eventually("the service answers", func() bool { text, _ := get(); return text == "web one" }, func() string { return url })

	ns.Apply(webDeployment(replicas, "two"))
	rolled := make(chan struct{})
	go func() {
		defer close(rolled)
		ns.Kubectl("rollout", "status", "deployment/web", "--timeout=55s").Exits(0)
	}()
	seen := map[string]int{}
	for done := false; !done; {
		select {
		case <-rolled:
			done = true
		case <-time.After(5 * time.Millisecond):
		}
		text, err := get()
		if err != nil {
			t.Errorf("a request during the update, after %v: %v", seen, err)
		}
		seen[text]++
	}
	if len(seen) > 2 || seen["web two"] == 0 {
		t.Errorf("answers during the update: %v", seen)
	}
}

// service: a guest finds another by its name in the cluster's DNS.
func service(t *testing.T, ns *cluster.Namespace) {
	ns.Apply(webDeployment(1, "served"))
	ns.Kubectl("rollout", "status", "deployment/web", "--timeout=50s").Exits(0)
	ns.Apply(pod("asks", "restartPolicy: OnFailure", container("app", web, "",
		"/web.wasm", "get", "http://web", "http://web."+ns.Name+".svc.cluster.local")))
	ns.Until(phase, "Succeeded", "pod/asks")
	ns.Logs("web served\nweb served\n", "asks")
}

func jobs(t *testing.T, ns *cluster.Namespace) {
	completions := count(6, 50)
	ns.Apply(fmt.Sprintf(`
apiVersion: batch/v1
kind: Job
metadata: {name: work}
spec:
  completions: %d
  parallelism: 3
  completionMode: Indexed
  template: {spec: {%s, restartPolicy: Never, containers: [%s]}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: fails}
spec:
  backoffLimit: 1
  template: {spec: {%s, restartPolicy: Never, containers: [%s]}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: often}
spec:
  schedule: "* * * * *"
  jobTemplate: {spec: {template: {spec: {%s, restartPolicy: Never, containers: [%s]}}}}
`, completions, wasm, box("app", "", "get", "JOB_COMPLETION_INDEX"),
		wasm, box("app", "", "exit", "3"), wasm, box("app", "", "echo", "now")))
	// Fifty, three at a time, take longer than what is waited for otherwise.
	done := func() bool {
		return ns.Ask("get", "job", "work", "-o", "jsonpath={.status.succeeded}") == fmt.Sprint(completions)
	}
	if !harness.Soon(5*time.Minute, done) {
		t.Fatalf("the Job is not complete:\n%s", ns.Kubectl("describe", "job", "work").Stdout)
	}
	ns.Until("jsonpath={.status.conditions[?(@.type=='Failed')].reason}", "BackoffLimitExceeded", "job/fails")
	ns.Kubectl("create", "job", "--from=cronjob/often", "by-hand").Exits(0)
	ns.Until("jsonpath={.status.succeeded}", "1", "job/by-hand")
	scheduled(ns)
}

// scheduled waits until a job that the schedule has made has succeeded. The
// controller makes up for a minute that it has missed, and is told of one, so that
// nobody waits for the next.
func scheduled(ns *cluster.Namespace) {
	ns.Kubectl("patch", "cronjob", "often", "--subresource", "status", "--type", "merge", "-p",
		`{"status":{"lastScheduleTime":"`+time.Now().Add(-90*time.Second).UTC().Format(time.RFC3339)+`"}}`).Exits(0)
	made := regexp.MustCompile(`(?m)^(often-\d+)=1$`)
	var all string
	ns.Eventually("a scheduled job succeeds", func() bool {
		all = ns.Ask("get", "jobs", "-o", `jsonpath={range .items[*]}{.metadata.name}={.status.succeeded}{"\n"}{end}`)
		return made.MatchString(all)
	}, func() string { return all })
	ns.Logs("now", "job/"+made.FindStringSubmatch(all)[1])
}

func statefulSet(t *testing.T, ns *cluster.Namespace) {
	ns.Apply(`
apiVersion: v1
kind: Service
metadata: {name: store}
spec: {clusterIP: None, selector: {app: store}, ports: [{port: 8080}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: store}
spec:
  serviceName: store
  replicas: 2
  selector: {matchLabels: {app: store}}
  template:
    metadata: {labels: {app: store}}
    spec: {` + wasm + `, containers: [` + box("app", "volumeMounts: [{name: data, mountPath: /data}]",
		"try", "cat", "/data/kept", ",", "write", "/data/kept", "what was written", ",", "cat", "/etc/hostname", ",", "sleep", "600000") + `]}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], storageClassName: "", resources: {requests: {storage: 1Mi}}}
`)
	for _, n := range []string{"0", "1"} {
		persistentVolume(t, ns, n, "1Mi")
	}
	ns.Kubectl("rollout", "status", "statefulset/store", "--timeout=50s").Exits(0)
	ns.Logs("store-1", "store-1")
	ns.Logs("box: /data/kept: No such file", "store-0")
	ns.Kubectl("delete", "pod", "store-0").Exits(0)
	ns.Ready("store-0")
	ns.Logs("what was written", "store-0")
	ns.Kubectl("delete", "statefulset", "store").Exits(0)
}

// persistentVolume is a folder of the node for the namespace's claims; the test
// cluster has nothing that makes volumes.
func persistentVolume(t *testing.T, ns *cluster.Namespace, name, size string) {
	t.Helper()
	name = ns.Name + "-" + name
	ns.Apply(`
apiVersion: v1
kind: PersistentVolume
metadata: {name: "` + name + `"}
spec:
  capacity: {storage: ` + size + `}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  hostPath: {path: ` + t.TempDir() + `}
`)
	t.Cleanup(func() { ns.Cluster.Kubectl(t, "delete", "pv", name, "--wait=false").Exits(0) })
}

func daemonSet(t *testing.T, ns *cluster.Namespace) {
	ns.Apply(`
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: everywhere}
spec:
  selector: {matchLabels: {app: everywhere}}
  template:
    metadata: {labels: {app: everywhere}}
    spec: {` + wasm + `, containers: [` + box("app", "", "echo", "here", ",", "sleep", "600000") + `]}
`)
	ns.Kubectl("rollout", "status", "daemonset/everywhere", "--timeout=50s").Exits(0)
	ns.Until("jsonpath={.status.numberAvailable}", "1", "daemonset/everywhere")
	ns.Logs("here", "daemonset/everywhere")
}

// many pods at once come up and go, none later than its grace period allows.
func many(t *testing.T, ns *cluster.Namespace) {
	pods, rounds := count(20, 100), count(1, 3)
	for range rounds {
		manifest := ""
		for i := range pods {
			manifest += pod(fmt.Sprintf("pod-%d", i), "", box("app", "", "echo", "up", ",", "sleep", "600000"))
		}
		// Five seconds are over for the last of them before a busy kubelet has come
		// to it. A guest that does not end when told is found by a minute as well.
		ns.Apply(strings.ReplaceAll(manifest, "terminationGracePeriodSeconds: 5", "terminationGracePeriodSeconds: 60"))
		if !harness.Soon(time.Duration(pods)*time.Second+harness.Patience, func() bool {
			return ns.Kubectl("wait", "--for=condition=Ready", "pods", "--all", "--timeout=20s").Status == 0
		}) {
			t.Fatal("the pods are not ready")
		}
		ns.Kubectl("delete", "pods", "--all", "--wait=false").Exits(0)
		for overdue(t, ns) > 0 && !t.Failed() {
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// overdue looks for pods that have not gone by their end, which their grace
// period has told the API server, and answers how many there are as yet.
func overdue(t *testing.T, ns *cluster.Namespace) int {
	t.Helper()
	asked := time.Now() // not the answer's time: a pod that is being removed ends this moment
	lines := strings.Fields(ns.Ask("get", "pods", "-o",
		`jsonpath={range .items[*]}{.metadata.name}={.metadata.deletionTimestamp}{"\n"}{end}`))
	for _, line := range lines {
		name, at, _ := strings.Cut(line, "=")
		end, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatalf("%s is to end at %q: %v", name, at, err)
		}
		if asked.After(end.Add(time.Second)) { // the stamp is of whole seconds
			t.Errorf("%s is Terminating %s after its grace period has ended", name, asked.Sub(end))
		}
	}
	return len(lines)
}
