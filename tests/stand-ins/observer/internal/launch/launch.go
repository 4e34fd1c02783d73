// Package launch is the start command: what ob-operator's helper makes of a pod's environment, and what the observer
// makes of its arguments. It refuses to start where the real one would not come up, or would come up wrong.
package launch

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"atoll.dev/tests/stand-ins/observer/internal/volume"
)

// Config is what a server is started with.
type Config struct {
	Data, Redo, Log string // the three volumes
	Known           *volume.Conf
	ClusterName     string
	ClusterID       int64
	Zone, IP        string
	Options         map[string]string
	Stand           Stand
}

// Stand are settings of the stand-in, which the real one has not.
type Stand struct {
	Root                  string // in front of every path
	Bind                  string // the address to listen on; all of them when empty
	Version               string
	Bootstrap, Job, Lease time.Duration
}

// DefaultVersion is the document's: oceanbase/oceanbase-cloud-native:4.2.1.7-107000162024060611.
const DefaultVersion = "4.2.1.7-107000162024060611"

// Environment looks a variable up.
type Environment func(name string) string

// Standing reads the STANDIN_ variables.
func Standing(env Environment) (Stand, error) {
	stand := Stand{
		Root: env("STANDIN_ROOT"), Bind: env("STANDIN_BIND"), Version: env("STANDIN_VERSION"),
		Bootstrap: 2 * time.Second, Job: 3 * time.Second, Lease: 3 * time.Second,
	}
	if stand.Version == "" {
		stand.Version = DefaultVersion
	}
	for name, into := range map[string]*time.Duration{
		"STANDIN_BOOTSTRAP_TIME": &stand.Bootstrap, "STANDIN_JOB_TIME": &stand.Job, "STANDIN_LEASE": &stand.Lease,
	} {
		if text := env(name); text != "" {
			duration, err := time.ParseDuration(text)
			if err != nil {
				return stand, fmt.Errorf("%s: %w", name, err)
			}
			*into = duration
		}
	}
	return stand, nil
}

const (
	home      = "/home/admin/oceanbase"
	dataDir   = "/home/admin/data-file"
	redoDir   = "/home/admin/data-log"
	logDir    = "/home/admin/log"
	libraries = home + "/lib"
)

// open looks at the three volumes. They are mounts of the pod, so this makes none of them.
func open(stand Stand) (Config, error) {
	config := Config{Stand: stand}
	for _, one := range []struct {
		into *string
		path string
	}{{&config.Data, dataDir}, {&config.Redo, redoDir}, {&config.Log, logDir}} {
		path := filepath.Join(stand.Root, one.path)
		seen, err := os.Stat(path)
		switch {
		case err != nil:
			return config, fmt.Errorf("the volume %s is not there: %w", one.path, err)
		case !seen.IsDir():
			return config, fmt.Errorf("%s is no directory", one.path)
		}
		probe := filepath.Join(path, ".writable")
		if err := os.WriteFile(probe, nil, 0o644); err != nil {
			return config, fmt.Errorf("%s cannot be written: %w", one.path, err)
		}
		_ = os.Remove(probe)
		*one.into = path
	}
	var err error
	config.Known, err = volume.Known(config.Data, config.Redo)
	return config, err
}

// Helper is `oceanbase-helper start`: the environment of ob-operator's pods becomes the observer's arguments. Where the
// volume has parameters already, a restart goes by those alone; but an environment that names another cluster or zone
// than the volume is refused, which the real one does not notice.
func Helper(env Environment, stand Stand) (Config, error) {
	for _, name := range []string{"CLUSTER_NAME", "CLUSTER_ID", "ZONE_NAME"} {
		if env(name) == "" {
			return Config{}, fmt.Errorf("the environment has no %s", name)
		}
	}
	if env("LD_LIBRARY_PATH") != libraries {
		return Config{}, fmt.Errorf("LD_LIBRARY_PATH must be %s, or the observer does not find its libraries", libraries)
	}
	id, err := strconv.ParseInt(env("CLUSTER_ID"), 10, 64)
	if err != nil || id < 1 || id > 4294967295 {
		return Config{}, fmt.Errorf("CLUSTER_ID is %q, not a number from 1 to 4294967295", env("CLUSTER_ID"))
	}
	config, err := open(stand)
	if err != nil {
		return config, err
	}
	if known := config.Known; known != nil {
		if known.ClusterName != env("CLUSTER_NAME") || known.ClusterID != id || known.Zone != env("ZONE_NAME") {
			return config, fmt.Errorf("the volumes belong to zone %s of cluster %s (%d), the environment says zone %s of cluster %s (%d)",
				known.Zone, known.ClusterName, known.ClusterID, env("ZONE_NAME"), env("CLUSTER_NAME"), id)
		}
		return config, restart(&config, whoami(env))
	}
	options := fmt.Sprintf("config_additional_dir=%s/store/etc,cpu_count=%s,datafile_size=%s,log_disk_size=%s,"+
		"enable_syslog_recycle=true,max_syslog_file_count=4", home, or(env("CPU_COUNT"), "16"), or(env("DATAFILE_SIZE"), "40G"),
		or(env("LOG_DISK_SIZE"), "40G"))
	if extra := env("EXTRA_OPTION"); extra != "" {
		options += "," + extra
	}
	arguments := []string{
		"--nodaemon", "--appname", env("CLUSTER_NAME"), "--cluster_id", env("CLUSTER_ID"), "--zone", env("ZONE_NAME"),
	}
	arguments = append(arguments, whoami(env)...)
	arguments = append(arguments, "-p", "2881", "-P", "2882", "-d", home+"/store", "-l", "info", "-o", options)
	return config, observer(&config, arguments)
}

// whoami is how a server learns its address: service mode has it from the Service, standalone mode is local, and any
// other pod has it from its interface.
func whoami(env Environment) []string {
	switch {
	case env("SVC_IP") != "":
		return []string{"-I", env("SVC_IP")}
	case env("STANDALONE") != "":
		return []string{"--devname", "lo"}
	}
	return []string{"-i", "eth0"}
}

// Observer is `bin/observer …` without the helper, for own start scripts.
func Observer(arguments []string, stand Stand) (Config, error) {
	config, err := open(stand)
	if err != nil {
		return config, err
	}
	return config, observer(&config, arguments)
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
