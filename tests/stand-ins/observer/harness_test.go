package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// TestMain lets the test's own program be the observer: a link to it is called by the names of the image.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "bash", "oceanbase-helper", "observer", "python2":
		main()
		return
	}
	_ = mysql.SetLogger(log.New(io.Discard, "", 0)) // Broken connections are what these tests are about.
	os.Exit(m.Run())
}

// server is one observer: a process with volumes and an address of its own on the loopback.
type server struct {
	t       *testing.T
	root    string
	ip      string
	env     map[string]string
	process *exec.Cmd
	mutex   sync.Mutex
	lines   []string
	stderr  strings.Builder
	ended   chan struct{}
}

// prepare makes the volumes of a server and the environment that ob-operator gives its pod, in service mode.
func prepare(t *testing.T, ip, zone string) *server {
	s := &server{t: t, root: t.TempDir(), ip: ip, env: map[string]string{
		"LD_LIBRARY_PATH": "/home/admin/oceanbase/lib", "CLUSTER_NAME": "test", "CLUSTER_ID": "1", "ZONE_NAME": zone,
		"CPU_COUNT": "16", "DATAFILE_SIZE": "10G", "LOG_DISK_SIZE": "47G", "SVC_IP": ip,
		"EXTRA_OPTION":           "system_memory='1G',__min_full_resource_pool_memory='2147483648',memory_limit='9216M'",
		"STANDIN_BIND":           ip,
		"STANDIN_BOOTSTRAP_TIME": "300ms", "STANDIN_JOB_TIME": "700ms", "STANDIN_LEASE": "1500ms",
	}}
	s.env["STANDIN_ROOT"] = s.root
	s.volumes()
	own, err := os.Executable()
	must(t, err)
	bin := filepath.Join(s.root, "home/admin/oceanbase/bin")
	must(t, os.MkdirAll(bin, 0o755))
	for _, name := range []string{"bash", "oceanbase-helper", "observer", "python2"} {
		must(t, os.Symlink(own, filepath.Join(bin, name)))
	}
	t.Cleanup(func() {
		s.kill()
		said := s.stderr.String()
		for _, word := range []string{"panic:", "fatal error:", "DATA RACE"} {
			if strings.Contains(said, word) {
				t.Errorf("%s broke", s.ip)
			}
		}
		if t.Failed() {
			t.Logf("%s said: %s", s.ip, said)
		}
	})
	return s
}

func (s *server) volumes() {
	for _, name := range []string{"data-file", "data-log", "log"} {
		must(s.t, os.MkdirAll(filepath.Join(s.root, "home/admin", name), 0o755))
	}
}

// start runs the pod's command.
func (s *server) start() *server {
	s.process = exec.Command(filepath.Join(s.root, "home/admin/oceanbase/bin/bash"), "-c",
		"/home/admin/oceanbase/bin/oceanbase-helper start")
	s.process.Env = nil
	for name, value := range s.env {
		s.process.Env = append(s.process.Env, name+"="+value)
	}
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := s.process.StdoutPipe()
	must(s.t, err)
	s.process.Stderr = &s.stderr
	must(s.t, s.process.Start())
	s.ended = make(chan struct{})
	go func(process *exec.Cmd, ended chan struct{}) {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			s.mutex.Lock()
			s.lines = append(s.lines, lines.Text())
			s.mutex.Unlock()
		}
		_ = process.Wait()
		close(ended)
	}(s.process, s.ended)
	return s
}

// kill is SIGKILL: nothing is finished.
func (s *server) kill() {
	if s.process != nil {
		_ = s.process.Process.Kill()
		<-s.ended
		s.process = nil
	}
}

// lose empties the volumes, like a claim that was deleted.
func (s *server) lose() {
	for _, name := range []string{"data-file", "data-log", "log"} {
		must(s.t, os.RemoveAll(filepath.Join(s.root, "home/admin", name)))
	}
	s.volumes()
}

func (s *server) address() string { return s.ip + ":2882" }

// statements are those that the server lists, in order.
func (s *server) statements() (list []string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, line := range s.lines {
		entry := struct{ SQL, Error string }{}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.SQL != "" {
			if list = append(list, entry.SQL); entry.Error != "" {
				list[len(list)-1] += " -> " + entry.Error
			}
		}
	}
	return list
}

// up waits until a server lets root in, whatever else it can do.
func (s *server) up(user, password string) *server {
	s.t.Helper()
	c := s.as(user, password, "")
	var err error
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = c.db.Ping(); err == nil {
			return s
		}
	}
	s.t.Fatalf("%s does not come up: %v\n%s", s.ip, err, s.stderr.String())
	return nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// three starts three servers in three zones of 127.0.net.0/24.
func three(t *testing.T, net int) []*server {
	var servers []*server
	for i := 1; i <= 3; i++ {
		servers = append(servers, prepare(t, fmt.Sprintf("127.0.%d.%d", net, i), fmt.Sprintf("zone%d", i)).start())
	}
	for _, s := range servers {
		s.up("root", "")
	}
	return servers
}

// bootstrap is the statement that founds a cluster of servers.
func bootstrap(servers ...*server) string {
	var pairs []string
	for _, s := range servers {
		pairs = append(pairs, fmt.Sprintf("ZONE '%s' SERVER '%s'", s.env["ZONE_NAME"], s.address()))
	}
	return "ALTER SYSTEM BOOTSTRAP " + strings.Join(pairs, ", ")
}

// founded is a cluster of three zones.
func founded(t *testing.T, net int) []*server {
	t.Helper()
	servers := three(t, net)
	servers[0].as("root", "", "").must(bootstrap(servers...))
	return servers
}

func removeAll(root, path string) error { return os.RemoveAll(filepath.Join(root, path)) }

// script runs one of the upgrade scripts as ob-operator's Jobs do, and gives what it says and whether it ends well.
func (s *server) script(name, password string) (string, error) {
	bin := filepath.Join(s.root, "home/admin/oceanbase/bin")
	command := exec.Command(filepath.Join(bin, "bash"), "-c",
		"python2 /home/admin/oceanbase/etc/"+name+" -h"+s.ip+" -P2881 -uroot -p'"+password+"'")
	command.Env = []string{"PATH=" + bin}
	said, err := command.CombinedOutput()
	return string(said), err
}
