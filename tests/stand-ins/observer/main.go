// Command observer stands in for OceanBase's server in tests. It is one program under the names that the commands of
// pods call: bash, oceanbase-helper, observer and python2. README.md says what it is and what it is not.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"atoll.dev/tests/stand-ins/observer/internal/launch"
	"atoll.dev/tests/stand-ins/observer/internal/replica"
	"atoll.dev/tests/stand-ins/observer/internal/script"
	"atoll.dev/tests/stand-ins/observer/internal/serve"
	"atoll.dev/tests/stand-ins/observer/internal/volume"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("observer: ")
	if err := run(filepath.Base(os.Args[0]), os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(name string, arguments []string) error {
	switch name {
	case "bash", "sh":
		return bash(arguments)
	case "oceanbase-helper":
		return helper(arguments)
	case "python2", "python", "python3":
		return script.Run(arguments, log.Printf)
	}
	stand, err := launch.Standing(os.Getenv)
	if err != nil {
		return err
	}
	config, err := launch.Observer(arguments, stand)
	if err != nil {
		return err
	}
	return observe(config)
}

// bash becomes the command, so that the observer is the container's first process and gets its signals.
func bash(arguments []string) error {
	if len(arguments) != 2 || arguments[0] != "-c" {
		return fmt.Errorf("the stand-in's bash knows only: bash -c COMMAND")
	}
	words, err := launch.Words(arguments[1])
	if err != nil {
		return err
	}
	program := words[0]
	if root := os.Getenv("STANDIN_ROOT"); root != "" && filepath.IsAbs(program) {
		program = filepath.Join(root, program)
	}
	if program, err = exec.LookPath(program); err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", words[0], syscall.Exec(program, words, os.Environ()))
}

func helper(arguments []string) error {
	stand, err := launch.Standing(os.Getenv)
	if err != nil {
		return err
	}
	switch {
	case len(arguments) == 1 && arguments[0] == "version":
		fmt.Println(stand.Version)
		return nil
	case len(arguments) == 4 && arguments[0] == "upgrade" && arguments[1] == "validate" && arguments[2] == "-s":
		return launch.Validate(arguments[3], stand.Version)
	case len(arguments) != 1 || arguments[0] != "start":
		return fmt.Errorf("the helper knows: start, version, upgrade validate -s VERSION; not %q", arguments)
	}
	config, err := launch.Helper(os.Getenv, stand)
	if err != nil {
		return err
	}
	return observe(config)
}

func observe(config launch.Config) error {
	conf := volume.Conf{
		ClusterName: config.ClusterName, ClusterID: config.ClusterID, Zone: config.Zone, IP: config.IP, Options: config.Options,
	}
	if config.Known != nil {
		conf = *config.Known
	}
	vol, err := volume.Open(config.Data, config.Redo, conf)
	if err != nil {
		return err
	}
	out, err := logFile(config.Log)
	if err != nil {
		return err
	}
	stand := config.Stand
	node, err := replica.Start(replica.Options{
		Address: net.JoinHostPort(config.IP, "2882"), Bind: net.JoinHostPort(stand.Bind, "2882"), Version: stand.Version,
		Bootstrap: stand.Bootstrap, Job: stand.Job, Lease: stand.Lease, Log: out,
	}, vol)
	if err != nil {
		return err
	}
	if _, err := serve.Listen(net.JoinHostPort(stand.Bind, "2881"), node, serve.NewJournal(os.Stdout)); err != nil {
		return err
	}
	log.Printf("stand-in %s: %s in zone %s of cluster %s (%d), volume %s, member: %t", stand.Version, config.IP, config.Zone,
		config.ClusterName, config.ClusterID, vol.Conf().Volume, vol.Conf().Cluster != "")
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	log.Printf("ends by %s", <-signals) // What was acknowledged is on the disk, so there is nothing to finish.
	return nil
}

func logFile(dir string) (io.Writer, error) {
	dir = filepath.Join(dir, "log")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return os.OpenFile(filepath.Join(dir, "observer.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
}
