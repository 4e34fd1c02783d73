package launch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"atoll.dev/tests/stand-ins/observer/internal/volume"
)

func pod() map[string]string {
	return map[string]string{
		"LD_LIBRARY_PATH": "/home/admin/oceanbase/lib", "CLUSTER_NAME": "test", "CLUSTER_ID": "1", "ZONE_NAME": "zone1",
		"CPU_COUNT": "16", "DATAFILE_SIZE": "10G", "LOG_DISK_SIZE": "47G", "SVC_IP": "10.0.0.1",
		"EXTRA_OPTION": "system_memory='1G',__min_full_resource_pool_memory='2147483648',memory_limit='9216M'",
	}
}

func volumes(t *testing.T) string {
	root := t.TempDir()
	for _, name := range []string{"data-file", "data-log", "log"} {
		if err := os.MkdirAll(filepath.Join(root, "home/admin", name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func helper(env map[string]string, root string) (Config, error) {
	return Helper(func(name string) string { return env[name] }, Stand{Root: root, Version: DefaultVersion})
}

func TestThePodOfObOperatorStarts(t *testing.T) {
	config, err := helper(pod(), volumes(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"cpu_count": "16", "datafile_size": "10G", "log_disk_size": "47G", "system_memory": "1G", "memory_limit": "9216M",
		"__min_full_resource_pool_memory": "2147483648", "enable_syslog_recycle": "true", "zone": "zone1", "local_ip": "10.0.0.1",
	} {
		if config.Options[name] != want {
			t.Errorf("%s is %q and not %q", name, config.Options[name], want)
		}
	}
	local := pod()
	delete(local, "SVC_IP")
	local["STANDALONE"] = "true"
	if config, err := helper(local, volumes(t)); err != nil || config.IP != "127.0.0.1" {
		t.Errorf("standalone mode is at %s, %v", config.IP, err)
	}
}

func TestAPodThatCouldNotServeIsRefused(t *testing.T) {
	for _, one := range []struct{ why, name, value, words string }{
		{"no zone", "ZONE_NAME", "", "no ZONE_NAME"},
		{"no cluster", "CLUSTER_NAME", "", "no CLUSTER_NAME"},
		{"no cluster id", "CLUSTER_ID", "", "no CLUSTER_ID"},
		{"a cluster id that is no number", "CLUSTER_ID", "one", "not a number"},
		{"no way to the libraries", "LD_LIBRARY_PATH", "", "LD_LIBRARY_PATH"},
		{"an address that is none", "SVC_IP", "service", "no address"},
		{"processors that are no number", "CPU_COUNT", "many", "no INT"},
		{"no processor", "CPU_COUNT", "0", "too little"},
		{"too little data", "DATAFILE_SIZE", "5G", "too little"},
		{"too little redo", "LOG_DISK_SIZE", "27G", "too little"},
		{"a size that is none", "LOG_DISK_SIZE", "large", "no CAPACITY"},
		{"too little memory", "EXTRA_OPTION", "memory_limit='7G'", "too little"},
		{"a parameter that does not exist", "EXTRA_OPTION", "no_such='1'", "unknown"},
		{"a parameter without a value", "EXTRA_OPTION", "system_memory", "no value"},
		{"a quote that stays open", "EXTRA_OPTION", "system_memory='1G", "not closed"},
	} {
		env := pod()
		env[one.name] = one.value
		if _, err := helper(env, volumes(t)); err == nil || !strings.Contains(err.Error(), one.words) {
			t.Errorf("%s is answered with %v and not with %q", one.why, err, one.words)
		}
	}
	for _, name := range []string{"data-file", "data-log", "log"} {
		root := volumes(t)
		_ = os.Remove(filepath.Join(root, "home/admin", name))
		if _, err := helper(pod(), root); err == nil || !strings.Contains(err.Error(), name+" is not there") {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

func TestVolumesOfAnotherServerAreRefused(t *testing.T) {
	root := volumes(t)
	config, err := helper(pod(), root)
	if err != nil {
		t.Fatal(err)
	}
	conf := volume.Conf{ClusterName: "test", ClusterID: 1, Zone: "zone1", IP: config.IP, Options: config.Options}
	vol, err := volume.Open(config.Data, config.Redo, conf)
	if err != nil {
		t.Fatal(err)
	}
	again, err := helper(pod(), root)
	if err != nil || again.Known == nil || again.Known.Volume != vol.Conf().Volume {
		t.Fatalf("the own volume is %v, %v", again.Known, err)
	}
	if _, err := volume.Open(again.Data, again.Redo, *again.Known); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("two processes with one volume: %v", err)
	}
	for name, value := range map[string]string{"ZONE_NAME": "zone2", "CLUSTER_NAME": "other", "CLUSTER_ID": "2"} {
		env := pod()
		env[name] = value
		if _, err := helper(env, root); err == nil || !strings.Contains(err.Error(), "the volumes belong to zone zone1 of cluster test (1)") {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
	moved := pod()
	moved["SVC_IP"] = "10.0.0.2"
	if _, err := helper(moved, root); err == nil || !strings.Contains(err.Error(), "cannot change its address") {
		t.Errorf("another address: %v", err)
	}
	smaller := pod()
	smaller["LOG_DISK_SIZE"] = "1G" // A restart goes by what the volume says.
	if config, err := helper(smaller, root); err != nil || config.Options["log_disk_size"] != "47G" {
		t.Errorf("a restart has log_disk_size %s, %v", config.Options["log_disk_size"], err)
	}
}

func TestOneOfTwoVolumesIsNoServer(t *testing.T) {
	member := func() string {
		root := volumes(t)
		config, err := helper(pod(), root)
		if err != nil {
			t.Fatal(err)
		}
		vol, err := volume.Open(config.Data, config.Redo, volume.Conf{
			ClusterName: "test", ClusterID: 1, Zone: "zone1", IP: config.IP, Options: config.Options,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(vol.Log(), []byte("log"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := vol.Join("cluster"); err != nil {
			t.Fatal(err)
		}
		if vol.Join("another") == nil {
			t.Error("a volume joins a second cluster")
		}
		return filepath.Join(root, "home/admin")
	}
	one, two := member(), member()
	for _, mixed := range []struct{ why, data, redo, words string }{
		{"the log is lost", one + "/data-file", "", "the log volume was lost"},
		{"the data are lost", "", one + "/data-log", "whose data volume is gone"},
		{"the log is another's", one + "/data-file", two + "/data-log", "belongs to another server"},
		{"both are there", one + "/data-file", one + "/data-log", ""},
	} {
		root := volumes(t)
		for name, from := range map[string]string{"data-file": mixed.data, "data-log": mixed.redo} {
			if from != "" {
				if err := os.CopyFS(filepath.Join(root, "home/admin", name), os.DirFS(from)); err != nil {
					t.Fatal(err)
				}
			}
		}
		_, err := helper(pod(), root)
		if (err == nil) != (mixed.words == "") || err != nil && !strings.Contains(err.Error(), mixed.words) {
			t.Errorf("%s: %v", mixed.why, err)
		}
	}
}

func TestOwnStartScriptsMayCallTheObserver(t *testing.T) {
	good := strings.Fields("--nodaemon --appname test --cluster_id 1 --zone z1 -I 10.0.0.1 -p 2881 -P 2882 " +
		"-d /home/admin/oceanbase/store -l info -o cpu_count=16,memory_limit='9G'")
	if config, err := Observer(good, Stand{Root: volumes(t)}); err != nil || config.Zone != "z1" || config.Options["memory_limit"] != "9G" {
		t.Fatalf("%v, %v", config, err)
	}
	for bad, words := range map[string]string{
		strings.Replace(strings.Join(good, " "), "--nodaemon ", "", 1):    "--nodaemon",
		strings.Replace(strings.Join(good, " "), "-p 2881", "-p 3306", 1): "must be 2881",
		strings.Replace(strings.Join(good, " "), "-I 10.0.0.1 ", "", 1):   "know its address",
		strings.Replace(strings.Join(good, " "), "--zone z1 ", "", 1):     "needs --zone",
		strings.Join(good, " ") + " --fast":                               "no argument --fast",
	} {
		if _, err := Observer(strings.Fields(bad), Stand{Root: volumes(t)}); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s\n is answered with %v and not with %q", bad, err, words)
		}
	}
}

func TestBashRunsOnePlainCommand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("it's\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]string{
		"/home/admin/oceanbase/bin/oceanbase-helper start": "/home/admin/oceanbase/bin/oceanbase-helper|start",
		`exec a -p'b c'"d" ''`:                             "a|-pb cd|",
		`a -p"$(cat ` + file + `)" -x`:                     "a|-pit's|-x",
		"a $(cat " + file + ")":                            "a|it's",
	} {
		if words, err := Words(command); err != nil || strings.Join(words, "|") != want {
			t.Errorf("%s becomes %q, %v", command, words, err)
		}
	}
	for _, bad := range []string{"a && b", "a | b", "echo $HOME", "", "a 'b", "a $(rm x)", `a "$(cat a b)"`, "a `b`", "a > b", "a $(cat /none)"} {
		if _, err := Words(bad); err == nil {
			t.Errorf("bash -c %q is accepted", bad)
		}
	}
}

func TestAnUpgradeGoesForwardsWithinFour(t *testing.T) {
	for from, well := range map[string]bool{"4.2.1.6": true, "4.2.1.7": true, "4.2.1.8": false, "4.3.0.0": false, "3.1.4": false, "": false} {
		if err := Validate(from, DefaultVersion); (err == nil) != well {
			t.Errorf("from %q: %v", from, err)
		}
	}
}
